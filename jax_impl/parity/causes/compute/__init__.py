"""The reference's modules in NumPy: what torch computes, with every setting that a port may get wrong."""
