"""HTTP: one protocol a file, each only a translation; and what all share: limits, keys, errors, metrics."""
