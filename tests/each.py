"""Many inputs in one case: quicker than a case each, and a failure still names its input."""

import inspect
from itertools import product

import pytest


def each(names, values):
    """Check a test with every one of the values, as `pytest.mark.parametrize` does, in one case.

    The inputs share the fixtures of the case, so the test leaves nothing behind that the next
    input would meet. Two of them above one another make every combination.
    """
    names = [names] if isinstance(names, str) else list(names)
    inputs = [_named(names, value) for value in values]
    assert inputs, "there is nothing to check"

    def decorate(test):
        earlier = getattr(test, "inputs", [{}])
        combined = [{**named, **other} for named, other in product(earlier, inputs)]
        test = getattr(test, "__wrapped__", test)
        fixtures = [name for name in inspect.signature(test).parameters if name not in combined[0]]

        def check(**given):
            for named in combined:
                try:
                    test(**given, **named)
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"The input was {named!r}.")
                    raise

        parameters = [inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY) for one in fixtures]
        # What pytest reads of a test; setattr, for a function's type knows no such attributes.
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


def _named(names, value):
    """Return the names with their parts of a value, which may be a `pytest.param`."""
    is_param, is_one = hasattr(value, "marks"), len(names) == 1
    parts = value.values if is_param else (value,) if is_one else value
    return dict(zip(names, parts, strict=True))
