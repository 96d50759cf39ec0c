"""Carries a document to its destinations and proves that it arrived."""
