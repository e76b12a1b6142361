"""What a list offers to change at once: its rows, its options and the service behind them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from marshmallow import Schema, ValidationError

from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.commands import set_fields
from pipelabs.core.decimals import plain
from pipelabs.core.errors import InvalidInput, InvalidTransition, NotFound, PipeLabsError
from pipelabs.core.pagination import Page

T = TypeVar("T")
MAX_ROWS = 300
"""Rows that one change can have."""
Values = Mapping[str, str | None]
"""Field → value, as the API takes both."""


@dataclass(frozen=True, slots=True)
class Noun:
    """What the rows are called: one of them, and many."""

    one: str
    many: str

    def count(self, number: int) -> str:
        """Return a number of rows as text: `1 client`, `12 clients`."""
        return f"{number:,} {self.one if number == 1 else self.many}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A value that a field can be set to in many rows. Without `value`, the admin enters it.

    `words` names the field. `verb` and `done` say what is done to the rows and what was. One that
    `is_button` takes one click.
    """

    field: str
    words: str
    value: str | None = None
    verb: str = "Change"
    done: str = "changed"
    warning: str = ""
    is_danger: bool = False
    is_button: bool = False

    @property
    def name(self) -> str:
        """Return the name in forms: `tier:Premium`, or `spread_target_bps` if it is entered."""
        return self.field if self.value is None else f"{self.field}:{self.value}"


def enabling(enabled: str, disabled: str, warning: str) -> tuple[Option, Option]:
    """Return the options that disable rows, after a warning, and enable them."""
    return (
        Option(
            field="status",
            words="status",
            value=disabled,
            verb="Disable",
            done="disabled",
            warning=warning,
            is_danger=True,
            is_button=True,
        ),
        Option(
            field="status",
            words="status",
            value=enabled,
            verb="Enable",
            done="enabled",
            is_button=True,
        ),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """An option and its value."""

    option: Option
    value: str

    @property
    def values(self) -> Values:
        """Return the field and its value."""
        return {self.option.field: self.value}

    @property
    def text(self) -> str:
        """Return what events record: `tier:Premium`."""
        return f"{self.option.field}:{self.value}"


class Target(ABC, Generic[T]):
    """The rows of one list. A row is known by its key: its id as text, or the slug of an exchange.

    `schema` loads the values of a row into a command with those fields, as the API does.
    `undo_fields` are those that an undo sets back after a single change.
    """

    noun: ClassVar[Noun]
    event: ClassVar[Event]
    query: ClassVar[type[Schema]]
    schema: ClassVar[type[Schema]]
    options: ClassVar[tuple[Option, ...]]
    undo_fields: ClassVar[tuple[str, ...]]
    client_id: UUID | None = None

    def find_option(self, name: str) -> Option | None:
        """Return the option of that name."""
        return next((option for option in self.options if option.name == name), None)

    def load(self, values: Values) -> dict[str, Any]:
        """Return the values as the service takes them; raise `InvalidInput`."""
        try:
            return set_fields(self.schema().load(values))
        except ValidationError as error:
            fields: dict[str, Any] = error.messages_dict
            raise InvalidInput(f"Invalid input: {', '.join(fields)}", fields=fields) from None

    def normalise(self, field: str, text: str) -> str:
        """Return an entered value as `read` returns it; raise `InvalidInput`."""
        return to_text(self.load({field: text})[field]) or ""

    def read(self, row: T, field: str) -> str | None:
        """Return the value of a field."""
        return to_text(getattr(row, field))

    def key(self, row: T) -> str:
        """Return the key of a row."""
        return str(row.id)  # type: ignore[attr-defined]  # every row but an exchange has one

    def version(self, row: T) -> int:
        """Return the version of a row."""
        return int(row.version)  # type: ignore[attr-defined]  # every row has one

    @abstractmethod
    def list_rows(self, filters: Mapping[str, Any]) -> Page[T]:
        """Return the first `MAX_ROWS` rows that match the filters of the list."""

    @abstractmethod
    def find(self, keys: Sequence[str]) -> Sequence[T]:
        """Return the rows with these keys, in the order of a preview. Others are left out."""

    def lock(self, keys: Sequence[str], values: Sequence[Values]) -> None:
        """Lock what has to be locked before the first row is changed.

        Rows are changed in the order of keys, to these values. Override it if that order is not
        consistent.
        """

    @abstractmethod
    def name(self, row: T) -> str:
        """Return what people call the row."""

    @abstractmethod
    def link(self, row: T) -> Mapping[str, Any]:
        """Return the endpoint of the row's page, and its parameters."""

    @abstractmethod
    def check(self, row: T, changed: Mapping[str, Any], actor: Actor) -> None:
        """Raise what the service raises if the row can't be changed."""

    @abstractmethod
    def change(self, row: T, changed: Mapping[str, Any], version: int, actor: Actor) -> None:
        """Change the row with the service. Raise `Stale` if `version` is not the stored one."""

    def notes(self, rows: Sequence[T], change: Change) -> Mapping[str, str]:
        """Return key → what else a change of the row does."""
        return {}

    def has_undo(self, row: T, before: Values, actor: Actor) -> bool:
        """Return whether the row, as it is now, can be set back to these values."""
        try:
            self.check(row, self.load(before), actor)
        except PipeLabsError:
            return False
        return True


EXPECTED = (InvalidInput, InvalidTransition, NotFound)
"""Errors of one row, which leave the others as they are."""


def to_text(value: Any) -> str | None:
    """Return a value as text. What is empty is None."""
    if isinstance(value, Decimal):
        return plain(value)
    return str(value) if value not in (None, "") else None


def parse_ids(keys: Iterable[str]) -> list[UUID]:
    """Return the keys that are ids."""
    ids = []
    for key in keys:
        try:
            ids.append(UUID(key))
        except ValueError:
            continue
    return ids
