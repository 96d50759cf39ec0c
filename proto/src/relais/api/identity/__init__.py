"""Held identities, and the registry of organisations and credentials."""
