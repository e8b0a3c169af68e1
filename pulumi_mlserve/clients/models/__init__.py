"""The model store: content, versions, claims and records."""
