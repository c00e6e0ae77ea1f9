"""Files: atomic writes, checksums, JSON lines, run folders and checkpoints."""
