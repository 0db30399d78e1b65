"""A toy engine: the ONNX project's own reference implementation. CONTRIBUTING.md walks through it."""
