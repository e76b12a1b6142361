"""Typed commands: what a schema loads and a service takes."""

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Unset(Enum):
    """The type of a field that a partial update leaves unchanged."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""The default of every field of a partial update. None clears the field."""


def set_fields(command: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a partial update that were sent, by name."""
    values = {field.name: getattr(command, field.name) for field in fields(command)}
    return {name: value for name, value in values.items() if value is not UNSET}


def differing(stored: object, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from the stored ones, by field."""
    return {name: value for name, value in values.items() if getattr(stored, name) != value}
