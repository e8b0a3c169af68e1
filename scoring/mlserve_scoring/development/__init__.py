"""A server for the time in which a script is written: a folder as it is, served anew whenever a file changes."""
