"""OpenVINO: its own model format, for CPUs."""
