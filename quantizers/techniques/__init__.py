"""Techniques, one a module."""
