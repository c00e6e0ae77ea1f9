"""PyTorch's random numbers without PyTorch: its CPU generator in NumPy, and the draws that the notebook makes."""
