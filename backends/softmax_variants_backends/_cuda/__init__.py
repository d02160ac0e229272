"""Kernels in CUDA C++ for rows on NVIDIA GPUs: one source, launched by CuPy and by PyTorch."""
