"""Sizes of tests: small in `make test`, full in `make chaos`."""

import pytest


def sized(small, full):
    """Run a test with a small `size`, and marked as `slow` with the full one."""
    return pytest.mark.parametrize("size", [small, pytest.param(full, marks=pytest.mark.slow)])
