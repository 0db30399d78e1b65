"""Error rates, and differences from the baseline's transcripts and logits."""
