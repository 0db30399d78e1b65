"""Measuring artifacts in child processes."""
