"""Deliveries and endpoints."""
