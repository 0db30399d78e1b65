"""Compares qasr's artifacts with builds of the same model by other tools: ``python -m qasr.bench.peers``."""
