"""Permissions, scopes and the error catalogue. The first version of the contract."""
