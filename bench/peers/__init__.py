"""``python -m qasr.bench.peers``: qasr's artifacts beside what users of other tools would build of the same model."""
