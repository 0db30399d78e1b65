"""Checkpoints in transformers."""
