"""How large a test is: small in `make test`, as large as was promised in `make chaos`."""

import pytest


def sized(small, whole):
    """Run a test with a small `size`, and marked `slow` with the whole one."""
    return pytest.mark.parametrize("size", [small, pytest.param(whole, marks=pytest.mark.slow)])
