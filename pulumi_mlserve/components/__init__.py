"""Offers: what stack programs import, one component a file."""
