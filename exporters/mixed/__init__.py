"""Mixed precision in an artifact: its formats, what layers cost there, and the labels of the calibration audio."""
