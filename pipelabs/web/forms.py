"""HTML forms made from schemas."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import MultiDict

from pipelabs.core.decimals import ungroup
from pipelabs.core.errors import Fields, PipeLabsError
from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.edits import EditForm, PartialUpdate
from pipelabs.core.schemas.fields import EnumField, Password, PlainText
from pipelabs.core.schemas.lists import BoundedList
from pipelabs.core.text import NEVER_SHOWN, trim
from pipelabs.vault.schemas.credentials import SecretText
from pipelabs.web import origin, places, subjects
from pipelabs.web.csrf import CSRF_FIELD
from pipelabs.web.json import invalid_fields
from pipelabs.web.operation import BACK_FIELD, DRAFT_FIELD, SubmittedForm, has_actor, request_state
from pipelabs.web.query import load as read_query

THEN = "then"
"""What a button that sends a form does after that."""
NO_VALUES = (
    frozenset({BACK_FIELD, CSRF_FIELD, DRAFT_FIELD, THEN, origin.PARAMETER}) | places.PARAMETERS
)
"""Fields of every form, or of the one to sign in, and parameters of every list."""

WAS = "was:"
"""Prefix of the fields of an edit form that have the values it was filled with."""
NEVER_FILLED = frozenset({"password", "paste"})
"""Widgets that begin empty each time. Pasted rows can have a private key in place of a wallet."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a form for a template. Label, hint and widget come from the schema."""

    name: str
    label: str
    hint: str
    widget: str
    value: str
    is_required: bool
    choices: tuple[str, ...]
    max: int | None
    autocomplete: str
    errors: tuple[str, ...]
    has_focus: bool


class Form:
    """A form made from a schema, with its values and errors."""

    def __init__(self, schema: type[Schema], values: Mapping[str, Any] | None = None) -> None:
        """`values` are the initial values by field name, such as those of a row.

        A draft of the form replaces them. `was` keeps them, so that a stale edit tells what each
        side has changed.
        """
        self.schema = schema()
        self.values = {name: _text(value) for name, value in (values or {}).items()}
        self.was = dict(self.values)
        draft = request_state().draft if has_actor() else None
        if draft and draft.schema is schema:
            self.values |= draft.values
            # The draft may be of an older version than these values.
            self.was = {}
        self.errors: Fields = {}
        self.existing: Mapping[str, str] = {}
        self.choices: dict[str, tuple[str, ...]] = {}
        self.required: frozenset[str] = frozenset()

    @property
    def is_edit(self) -> bool:
        """Return whether it changes a row, which somebody else may change meanwhile."""
        return isinstance(self.schema, EditForm)

    def offer(self, name: str, choices: Iterable[str]) -> "Form":
        """Make the field a select with these choices, or a list one of check boxes.

        Return the form.
        """
        self.choices[name] = tuple(choices)
        return self

    def require(self, names: Iterable[str]) -> "Form":
        """Mark fields as required that are optional in the schema. Return the form."""
        self.required = frozenset(names)
        return self

    def _shown(self, name: str, widget: str, default: str) -> str:
        """Return the value of a field. What is or may be a secret is not sent back."""
        if widget in NEVER_FILLED or NEVER_SHOWN.intersection(self.errors.get(name, ())):
            return ""
        return self.values.get(name, default)

    @property
    def has_secret(self) -> bool:
        """Return whether a secret is typed into it."""
        return any(field.widget == "password" for field in self)

    def _first_wrong(self) -> str | None:
        """Return the first field with an error, which gets the focus."""
        return next((name for name in self.schema.load_fields if self.errors.get(name)), None)

    def load(self) -> Any:
        """Return the loaded data. Raise `InvalidInput` naming every wrong field.

        A browser sends an empty text for a field without a value. A creation takes that as absent.
        An update takes it as null, and leaves a field that the page lacks as it is.
        """
        filled: dict[str, Any] = {
            name: self._plain(name, value) for name, value in self.values.items() if value != ""
        }
        if isinstance(self.schema, PartialUpdate):
            filled = dict.fromkeys(self.values) | filled
        try:
            loaded = self.schema.load(filled)
        except ValidationError as error:
            subjects.remember(error.valid_data)
            raise invalid_fields(error.messages_dict) from None
        subjects.remember(loaded)
        return loaded

    def _plain(self, name: str, value: str) -> str:
        """Return a value as a schema takes it. People group the digits of an amount."""
        is_amount = isinstance(self.schema.load_fields.get(name), Amount)
        return ungroup(trim(value)) if is_amount else value

    def set_errors(self, error: PipeLabsError) -> None:
        """Store the messages of the error, to be shown beside the fields."""
        self.errors = error.fields
        self.existing = getattr(error, "existing", {})

    def __iter__(self) -> Iterator[FormField]:
        """Yield the fields in the order of the schema."""
        return map(self.__getitem__, self.schema.load_fields)

    def __getitem__(self, name: str) -> FormField:
        """Return one field."""
        field = self.schema.load_fields[name]
        metadata = field.metadata
        default = field.load_default if isinstance(field.load_default, str) else ""
        widget = metadata.get("widget") or _widget(field)
        if name in self.choices:
            widget = "checks" if isinstance(field, BoundedList) else "select"
        return FormField(
            name=name,
            label=metadata.get("label", name.replace("_", " ").capitalize()),
            hint=metadata.get("description", ""),
            widget=widget,
            value=self._shown(name, widget, default),
            is_required=field.required or name in self.required,
            choices=self.choices.get(name) or _choices(field),
            max=field.max if isinstance(field, PlainText) else None,
            autocomplete=metadata.get("autocomplete", "off"),
            errors=tuple(self.errors.get(name, ())),
            has_focus=name == self._first_wrong(),
        )


def submitted_form(schema: type[Schema], template: str, **context: Any) -> Form:
    """Return the submitted form. Any later error renders `template` with it again."""
    form = Form(schema, submitted_values(schema))
    form.was = {
        name.removeprefix(WAS): text for name, text in request.form.items() if name.startswith(WAS)
    }
    request_state().form = SubmittedForm(template, form, context)
    return form


def submitted_values(schema: type[Schema]) -> dict[str, str]:
    """Return the submitted fields. Raise `InvalidInput` for a repeated one that is no list."""
    lists = {name for name, field in schema().fields.items() if isinstance(field, BoundedList)}
    values = _single_values(request.form, lists)
    return {name: text for name, text in values.items() if not name.startswith(WAS)}


def filter_form(schema: type[Schema], template: str, **context: Any) -> Form:
    """Return the filters of a list as a form. Any later error renders `template` with it."""
    form = Form(schema, _single_values(request.args))
    request_state().form = SubmittedForm(template, form, context)
    return form


def query(schema: type[Schema]) -> Any:
    """Return the loaded query string. Empty parameters count as absent."""
    sent = read_query(request)
    return Form(schema, {name: text for name, text in sent.items() if name not in NO_VALUES}).load()


def _single_values(data: MultiDict[str, str], lists: Collection[str] = ()) -> dict[str, str]:
    """Return the value of each field. The items of a list field are joined by line breaks.

    Raise `InvalidInput` if any other field is given more than once.
    """
    repeated = {name for name, values in data.lists() if len(values) > 1}
    if messages := {name: ["Must be given only once."] for name in repeated.difference(lists)}:
        raise invalid_fields(messages)
    return {name: "\n".join(values) for name, values in data.lists() if name not in NO_VALUES}


def _choices(field: fields.Field[Any]) -> tuple[str, ...]:
    """Return the values of an enum field; empty for any other field."""
    if not isinstance(field, EnumField):
        return ()
    return tuple(choice.value for choice in field.choices.values())


def _widget(field: fields.Field[Any]) -> str:
    match field:
        case EnumField():
            return "select"
        case Password() | SecretText():
            return "password"
        case PlainText(lines=True):
            return "textarea"
    return "text"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
