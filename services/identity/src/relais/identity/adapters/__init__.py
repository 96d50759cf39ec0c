"""The world behind identity's ports."""
