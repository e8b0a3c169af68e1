"""What goes into an image: its files, layers, manifest and OCI documents."""
