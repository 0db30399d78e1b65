"""Files of a checkpoint's folder: JSON, the tokenizer, and folders that are taken for checkpoints."""
