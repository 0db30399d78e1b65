"""ONNX Runtime, on any of its execution providers."""
