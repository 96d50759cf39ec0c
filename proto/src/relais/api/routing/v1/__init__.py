"""Policies, explanations, and documents held by the law. The first version of the contract."""
