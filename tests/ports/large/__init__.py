"""An MLP of 100 million parameters, to measure memory."""
