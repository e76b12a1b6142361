"""Run a test with many inputs in one case. It is faster, and a failure still names its input."""

import inspect
from itertools import product

import pytest


def each(names, values):
    """Run a test with every value, like `pytest.mark.parametrize`, but as one case.

    All inputs share the fixtures of the case, so the test must not leave anything behind for the
    next input. Stacked decorators produce every combination.
    """
    names = [names] if isinstance(names, str) else list(names)
    inputs = [_arguments(names, value) for value in values]
    assert inputs, "there are no inputs"

    def decorate(test):
        earlier = getattr(test, "inputs", [{}])
        combined = [{**outer, **inner} for outer, inner in product(earlier, inputs)]
        test = getattr(test, "__wrapped__", test)
        fixtures = [name for name in inspect.signature(test).parameters if name not in combined[0]]

        def check(**fixture_values):
            for arguments in combined:
                try:
                    test(**fixture_values, **arguments)
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"The input was {arguments!r}.")
                    raise

        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in fixtures]
        # The attributes that pytest reads. setattr, because the type of functions lacks them.
        for name, value in {
            "__name__": test.__name__,
            "__module__": test.__module__,
            "__wrapped__": test,
            "__signature__": inspect.Signature(parameters),
            "inputs": combined,
            "pytestmark": list(getattr(test, "pytestmark", [])),
        }.items():
            setattr(check, name, value)
        return check

    return decorate


def _arguments(names, value):
    """Return argument → value; the value may be a `pytest.param`."""
    is_param, is_single = hasattr(value, "marks"), len(names) == 1
    parts = value.values if is_param else (value,) if is_single else value
    return dict(zip(names, parts, strict=True))
