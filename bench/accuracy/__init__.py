"""Transcripts against labels and against the baseline."""
