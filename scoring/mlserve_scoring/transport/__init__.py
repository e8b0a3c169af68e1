"""Bytes to requests and replies to bytes: sockets, connections, parsing. Knows no routes."""
