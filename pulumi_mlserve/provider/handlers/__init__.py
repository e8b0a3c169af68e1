"""One module for each resource the provider remembers."""
