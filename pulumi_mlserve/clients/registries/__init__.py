"""Registries of images: who we are to them, what is read from them and what is pushed to them."""
