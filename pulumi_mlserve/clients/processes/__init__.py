"""Services as processes of this machine."""
