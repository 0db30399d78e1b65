"""Measurements of artifacts."""
