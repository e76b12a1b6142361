from dataclasses import dataclass
from typing import ClassVar

import pytest

from pipelabs.core.commands import UNSET, Unset
from pipelabs.core.schemas.edits import EditForm, PartialUpdate
from pipelabs.core.schemas.fields import PlainText


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    name: str | Unset = UNSET
    colour: str | Unset = UNSET
    email: str | Unset | None = UNSET
    notes: str | Unset = UNSET


class NounFields:
    code = PlainText(required=True, max=9)
    name = PlainText(required=True, max=9)
    colour = PlainText(load_default="red", max=9)
    email = PlainText(load_default=None, max=9)
    notes = PlainText(load_default="", max=9)
    command: ClassVar[type] = Changes
    unchangeable: ClassVar[tuple[str, ...]] = ("code",)


class NounPatch(NounFields, PartialUpdate):
    pass


class NounEdit(NounFields, EditForm):
    pass


def test_partial_update_loads_only_the_fields_that_were_sent():
    assert NounPatch().load({}) == Changes()
    assert NounPatch().load({"colour": "blue"}) == Changes(colour="blue")


def test_partial_update_null_empties_a_field_with_an_empty_default():
    emptied = NounPatch().load({"email": None, "notes": None})

    assert emptied == Changes(email=None, notes="")


@pytest.mark.parametrize("name", ["name", "colour"])
def test_partial_update_rejects_null_for_a_field_that_needs_a_value(name):
    assert NounPatch().validate({name: None}) == {name: ["This field is required."]}


def test_partial_update_does_not_know_an_unchangeable_field():
    assert NounPatch().validate({"code": "x"}) == {"code": ["There is no such field."]}


def test_edit_form_loads_the_changes_and_the_version():
    assert NounEdit().load({"name": "A", "version": "2"}) == (Changes(name="A"), 2)


def test_edit_form_requires_the_version():
    assert set(NounEdit().validate({"name": "A"})) == {"version"}
