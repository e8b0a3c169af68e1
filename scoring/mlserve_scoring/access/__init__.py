"""Who may ask: keys and tokens, and which browsers."""
