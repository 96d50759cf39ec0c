"""What makes ingestion's ports concrete."""
