"""The only judges of input, and the shape of output."""
