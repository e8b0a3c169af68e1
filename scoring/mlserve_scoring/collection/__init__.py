"""Data that a service keeps of its requests and answers."""
