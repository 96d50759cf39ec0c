"""The HTTPS connector: the exact bytes of a document in one signed POST. What a partner must do is in the service's README."""
