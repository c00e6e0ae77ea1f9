"""torchvision's ResNet-18: the real one, and one with fewer blocks and channels that runs in seconds."""
