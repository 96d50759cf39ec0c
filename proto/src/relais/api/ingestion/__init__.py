"""Submissions, receipts and where documents are."""
