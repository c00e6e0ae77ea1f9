"""What the families of data share: the arrays of the batches, and orders of samples."""
