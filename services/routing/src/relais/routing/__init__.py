"""Says who must receive a document, and why."""
