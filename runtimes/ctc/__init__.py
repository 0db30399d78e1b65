"""From logits to transcripts: greedy decoding, stitching of windows, output formats."""
