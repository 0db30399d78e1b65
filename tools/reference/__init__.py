"""How the bundled model and its data were made: ``python -m tools.reference all --work DIR``."""
