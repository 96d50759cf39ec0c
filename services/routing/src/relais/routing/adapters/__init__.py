"""The world behind routing's ports."""
