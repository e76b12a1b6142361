"""What a check finds, and how serious it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How serious a result is, the least serious first."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """Something that is wrong: a sentence that says what, and one that says what to do."""

    severity: Severity
    message: str


class Result(NamedTuple):
    """A result of a check. A check without findings has one, which is ok or skipped."""

    check: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its function, and the sentence that it reports if the function finds nothing.

    It is skipped if one of the checks that it `needs` found an error or was skipped.
    """

    name: str
    find: Callable[[], Iterable[Finding]]
    fine: str
    needs: tuple[str, ...] = ()


def warn(message: str) -> Finding:
    """Return a finding that is no danger now."""
    return Finding(Severity.WARNING, message)


def fail(message: str) -> Finding:
    """Return a finding that endangers data, security or service."""
    return Finding(Severity.ERROR, message)


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
