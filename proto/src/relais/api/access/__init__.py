"""Permissions, scopes and the error catalogue."""
