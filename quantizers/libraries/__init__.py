"""Techniques of other libraries, read into layers of ours."""
