"""Names of the files of an ONNX model."""

from __future__ import annotations

MODEL_FILE = "model.onnx"
DATA_FILE = "model.onnx_data"
"""Its weights, where they would make the model file too large."""
