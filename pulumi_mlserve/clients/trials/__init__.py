"""Trial runs of user code, confined."""
