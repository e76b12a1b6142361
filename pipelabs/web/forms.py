"""Forms: a schema as HTML, and what came of sending it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import MultiDict

from pipelabs.core.errors import Fields, PipeLabsError
from pipelabs.core.schemas.edits import PartialUpdate
from pipelabs.core.schemas.fields import EnumField, Password, PlainText
from pipelabs.core.schemas.lists import BoundedList
from pipelabs.vault.schemas.credentials import SecretText
from pipelabs.web.csrf import CSRF_FIELD
from pipelabs.web.json import wrong_fields
from pipelabs.web.query import load as read_query
from pipelabs.web.state import SubmittedForm, request_state


@dataclass(frozen=True, slots=True)
class FormField:
    """One field as a template draws it; label, hint and widget come from the schema."""

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


class Form:
    """A schema as a form, with what was typed and what was wrong with it."""

    def __init__(self, schema: type[Schema], values: Mapping[str, Any] | None = None) -> None:
        """`values` are shown until something is sent: a row's, by field."""
        self.schema = schema()
        self.values = {name: _text(value) for name, value in (values or {}).items()}
        self.errors: Fields = {}
        self.existing: Mapping[str, str] = {}
        self.offered: dict[str, tuple[str, ...]] = {}
        self.demanded: frozenset[str] = frozenset()

    def offer(self, name: str, choices: Iterable[str]) -> "Form":
        """Let the field be chosen from what the database has; return the form."""
        self.offered[name] = tuple(choices)
        return self

    def demand(self, names: Iterable[str]) -> "Form":
        """Show as required what the schema asks for in this case alone; return the form."""
        self.demanded = frozenset(names)
        return self

    def load(self) -> Any:
        """Return the clean data; raise `InvalidInput` naming every wrong field.

        A browser sends an empty text for a field without a value. A creation takes that as absent.
        An update takes it as null, and leaves a field that the page lacks as it is.
        """
        sent: dict[str, Any] = {name: value for name, value in self.values.items() if value != ""}
        if isinstance(self.schema, PartialUpdate):
            sent = dict.fromkeys(self.values) | sent
        try:
            return self.schema.load(sent)
        except ValidationError as error:
            raise wrong_fields(error.messages_dict) from None

    def take(self, error: PipeLabsError) -> None:
        """Keep what was wrong, to be shown beside the fields."""
        self.errors = error.fields
        self.existing = getattr(error, "existing", {})

    def __iter__(self) -> Iterator[FormField]:
        """Yield the fields in the order of the schema."""
        return map(self.__getitem__, self.schema.load_fields)

    def __getitem__(self, name: str) -> FormField:
        """Return one field."""
        field = self.schema.load_fields[name]
        about = field.metadata
        default = field.load_default if isinstance(field.load_default, str) else ""
        widget = "select" if name in self.offered else about.get("widget") or _widget(field)
        return FormField(
            name=name,
            label=about.get("label", name.replace("_", " ").capitalize()),
            hint=about.get("description", ""),
            widget=widget,
            # What is secret is not shown again, by whatever template.
            value="" if widget == "password" else self.values.get(name, default),
            is_required=field.required or name in self.demanded,
            choices=self.offered.get(name) or _choices(field),
            max=field.max if isinstance(field, PlainText) else None,
            autocomplete=about.get("autocomplete", "off"),
            errors=tuple(self.errors.get(name, ())),
        )


def posted(schema: type[Schema], template: str, **context: Any) -> Form:
    """Return the form that was sent; any error from here on shows `template` with it again."""
    several = {name for name, field in schema().fields.items() if isinstance(field, BoundedList)}
    form = Form(schema, _once(request.form, several))
    request_state().form = SubmittedForm(template, form, context)
    return form


def asked(schema: type[Schema], template: str, **context: Any) -> Form:
    """Return the filters of a list as a form; any error from here on shows `template` with it."""
    form = Form(schema, _once(request.args))
    request_state().form = SubmittedForm(template, form, context)
    return form


def query(schema: type[Schema]) -> Any:
    """Return the clean query string; empty parameters count as absent."""
    return Form(schema, read_query(request)).load()


def _once(sent: MultiDict[str, str], several: Collection[str] = ()) -> dict[str, str]:
    """Return each field's text, a line for each of `several`'s entries.

    Raise `InvalidInput` for another one that was sent twice.
    """
    often = {name for name, found in sent.lists() if len(found) > 1}
    if twice := {name: ["Sent more than once."] for name in often.difference(several)}:
        raise wrong_fields(twice)
    return {name: "\n".join(found) for name, found in sent.lists() if name != CSRF_FIELD}


def _choices(field: fields.Field[Any]) -> tuple[str, ...]:
    """Return a closed list's values."""
    if not isinstance(field, EnumField):
        return ()
    return tuple(one.value for one in field.choices.values())


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
