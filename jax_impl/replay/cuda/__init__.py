"""What torch draws on a CUDA device, without torch and without the device: Philox in NumPy, and launch grids."""
