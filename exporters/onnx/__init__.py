"""ONNX: the graph that ONNX Runtime runs, and from which OpenVINO and TensorRT branch."""
