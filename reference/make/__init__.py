"""How the bundled model and its data were made: ``python -m qasr.reference.make all --work DIR``."""
