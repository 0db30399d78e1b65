"""Makes the bundled model and its data: ``python -m tools.reference all --work DIR``."""
