import pytest

from pipelabs.accounts.schemas.admins import SignIn
from pipelabs.clients.schemas import ClientIn
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.vault.schemas.forms import KeyForm
from pipelabs.web.forms import Form
from tests.factories import WALLET


def test_form_derives_its_fields_from_the_schema():
    name, wallet, email, tier, notes = Form(ClientIn)

    assert (name.label, name.is_required, name.max, name.widget) == ("Name", True, 255, "text")
    assert "Solana" in wallet.hint
    assert (email.is_required, email.value) == (False, "")
    assert (tier.widget, tier.value) == ("select", "Standard")
    assert tier.choices == ("Basic", "Standard", "Premium", "Enterprise")
    assert notes.widget == "textarea"


def test_form_uses_a_password_widget_for_passwords():
    assert Form(SignIn)["password"].widget == "password"


def test_form_never_shows_secrets_again():
    form = Form(KeyForm, {"api_secret": "canary", "label": "main"})

    assert "canary" not in repr(list(form))
    assert form["label"].value == "main"


def test_form_shows_initial_values():
    form = Form(ClientIn, {"name": "Acme", "email": None, "tier": "Basic"})

    assert (form["name"].value, form["email"].value, form["tier"].value) == ("Acme", "", "Basic")


def test_form_treats_empty_fields_as_absent():
    data = Form(ClientIn, {"name": "Acme", "wallet_address": WALLET, "email": ""}).load()

    assert (data.name, data.email) == ("Acme", None)


def test_form_shows_the_errors_of_all_fields():
    form = Form(ClientIn, {"email": "x", "id": "1"})
    with pytest.raises(InvalidInput) as raised:
        form.load()
    form.set_errors(raised.value)

    assert set(form.errors) == {"name", "wallet_address", "email", "id"}
    assert form["email"].errors == ("This is not an e-mail address.",)


def test_form_keeps_the_ids_of_existing_rows():
    form = Form(ClientIn)
    form.set_errors(
        Duplicate("Already exists.", fields={"email": ["Taken."]}, existing={"email": "7"})
    )

    assert (form["email"].errors, form.existing) == (("Taken.",), {"email": "7"})
