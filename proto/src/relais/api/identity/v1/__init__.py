"""Held identities, and the registry of organisations and credentials. The first version of the contract."""
