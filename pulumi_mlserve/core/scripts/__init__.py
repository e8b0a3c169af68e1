"""What an entry script is, read from its text."""
