"""The local image store: layers written without Docker, and unpacked to run."""
