"""TorchScript with the 8-bit kernels of FBGEMM and QNNPACK."""
