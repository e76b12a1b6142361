import pytest

from pipelabs.accounts.schemas.admins import SignIn
from pipelabs.clients.schemas import ClientIn
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.vault.schemas.forms import KeyForm
from pipelabs.web.forms import Form
from tests.factories import WALLET


def test_a_form_is_its_schema():
    name, wallet, email, tier, notes = Form(ClientIn)

    assert (name.label, name.is_required, name.max, name.widget) == ("Name", True, 255, "text")
    assert "Solana" in wallet.hint
    assert (email.is_required, email.value) == (False, "")
    assert (tier.widget, tier.value) == ("select", "Standard")
    assert tier.choices == ("Basic", "Standard", "Premium", "Enterprise")
    assert notes.widget == "textarea"


def test_a_password_is_typed_unseen():
    assert Form(SignIn)["password"].widget == "password"


def test_no_field_of_a_form_holds_what_is_secret():
    form = Form(KeyForm, {"api_secret": "canary", "label": "main"})

    assert "canary" not in repr(list(form))
    assert form["label"].value == "main"


def test_a_form_shows_the_values_it_is_given():
    form = Form(ClientIn, {"name": "Acme", "email": None, "tier": "Basic"})

    assert (form["name"].value, form["email"].value, form["tier"].value) == ("Acme", "", "Basic")


def test_a_field_left_empty_is_absent():
    data = Form(ClientIn, {"name": "Acme", "wallet_address": WALLET, "email": ""}).load()

    assert (data.name, data.email) == ("Acme", None)


def test_a_form_names_every_wrong_field_at_once():
    form = Form(ClientIn, {"email": "x", "id": "1"})
    with pytest.raises(InvalidInput) as refused:
        form.load()
    form.take(refused.value)

    assert set(form.errors) == {"name", "wallet_address", "email", "id"}
    assert form["email"].errors == ("This is not an e-mail address.",)


def test_a_form_keeps_who_has_what_is_taken():
    form = Form(ClientIn)
    form.take(Duplicate("taken", fields={"email": ["Taken."]}, existing={"email": "7"}))

    assert (form["email"].errors, form.existing) == (("Taken.",), {"email": "7"})
