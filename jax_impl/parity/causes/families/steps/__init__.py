"""Families of what happens after the forward pass: loss, gradients, optimizer, state and training."""
