"""The seam to NVIDIA NeMo and Megatron-core."""
