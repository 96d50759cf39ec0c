"""Deliveries and endpoints. The first version of the contract."""
