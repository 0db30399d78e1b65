"""TensorRT engines for NVIDIA GPUs."""
