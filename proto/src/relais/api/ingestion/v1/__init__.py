"""Submissions, receipts and where documents are. The first version of the contract."""
