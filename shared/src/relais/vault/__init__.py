"""Sealed bodies and the keys that open them; see `vault.py` for the port and README.md for the life of a body."""
