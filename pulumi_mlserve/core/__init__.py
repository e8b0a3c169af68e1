"""Decides: specs and their validation, digests, plans. No network, no pulumi, no clock."""
