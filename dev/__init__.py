"""Tools of the checkout: real servers for `make run`, tests and benchmarks."""
