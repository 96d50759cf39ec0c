"""Policies, explanations, and documents held by the law."""
