"""Takes a document in, proves what it received, and says where every document is."""
