import html
import re

import pytest
from sqlalchemy import event

from pipelabs.clients.wallets import recognise
from pipelabs.core.db import db, finish
from pipelabs.models import AuditEvent, Client, Role
from tests.factories import add_client, make_wallet

PASTE = "/admin/clients/paste"
PRIVATE_KEY = "0x" + "4c" * 64


@pytest.fixture
def desk(console):
    browser = console(Role.OPERATOR, email="desk@desk.local")
    browser.get(PASTE)
    return browser


def fields_of(page):
    """Return the fields of the grid as a form sends them."""
    names = ("name", "wallet_address", "email", "tier", "notes")
    cells: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        for tag in re.findall(rf'<(?:input|textarea)[^>]*name="{name}"[^>]*>[^<]*', page):
            value = re.search(r'value="([^"]*)"', tag)
            cells[name].append(html.unescape(value[1] if value else tag.partition(">")[2]))
    for select in re.findall(r'<select[^>]*name="tier".*?</select>', page, re.S):
        cells["tier"] += re.findall(r"<option selected>([^<]*)", select)
    return cells


def stored(app):
    with app.app_context():
        return {row.name: row.tier.value for row in db.session.query(Client)}


def test_pasted_rows_are_judged_and_created(app, desk):
    first, second = make_wallet(), make_wallet()
    text = f"Wallet\tClient\tTier\n{first}\tAcme\tpremium\n{second}\tBeta\t\n"

    page = desk.post(PASTE, rows=text).text
    created = desk.post(f"{PASTE}/create", **fields_of(page))

    assert "2 clients can be created." in page
    assert created.status_code == 303
    assert "2 clients created." in desk.get(created.location).text
    assert stored(app) == {"Acme": "Premium", "Beta": "Standard"}


def test_wrong_cells_say_why_and_the_other_rows_can_be_created(app, desk):
    wallet = make_wallet()
    rows = [
        "Name,Wallet,Email,Tier",
        "Acme,0x1,a@b.example,Gold",
        f"Beta,{wallet},b@b.example",
        f"Gamma,{wallet},b@b.example",
    ]

    page = desk.post(PASTE, rows="\n".join(rows)).text
    denied = desk.post(f"{PASTE}/create", **fields_of(page))
    rest = desk.post(f"{PASTE}/create-valid", **fields_of(page)).text

    assert "Create the other client" in page
    assert page.count("The same as in row 2.") == 2
    assert "Must be one of: Basic, Standard, Premium, Enterprise." in page
    assert denied.status_code == 400
    assert "2 rows are wrong." in denied.text
    assert stored(app) == {"Beta": "Standard"}
    assert "1 client created." in rest
    assert fields_of(rest)["name"] == ["Acme", "Gamma"]
    # What is taken now leads to the client that has it.
    assert rest.count(">Beta</a>") == 2


def test_every_row_is_created_by_the_other_button_too(app, desk):
    fields = fields_of(desk.post(PASTE, rows=f"Acme,{make_wallet()}").text)

    page = desk.post(f"{PASTE}/create-valid", **fields).text
    again = desk.post(f"{PASTE}/create-valid", **fields)

    assert "Nothing is left to create" in page
    assert (again.status_code, len(stored(app))) == (400, 1)
    assert "Every row is wrong." in again.text


def test_corrected_cells_are_judged_again(desk):
    fields = fields_of(desk.post(PASTE, rows="Acme,0x1").text)

    page = desk.post(f"{PASTE}/check", **fields | {"wallet_address": [make_wallet()]}).text

    assert "1 client can be created." in page
    assert "Not used" not in page


def test_a_column_that_is_not_recognised_is_named(desk):
    page = desk.post(PASTE, rows=f"Name,Wallet,Contact\nAcme,{make_wallet()},Jo").text

    assert "Not used: “Contact”." in page


def test_pasted_text_that_is_no_block_is_an_error(desk):
    for rows, sentence in (
        ("", "This field is required."),
        ("\n \n", "Paste at least one row."),
        ("Name\tWallet", "Paste at least one row."),
        ("a,b\n" * 101, "These are 101 rows. Paste at most 100 at once."),
        ("x" * 60_001, "Must have 1 to 60000 characters"),
    ):
        response = desk.post(PASTE, rows=rows)
        assert response.status_code == 400
        assert sentence in html.unescape(response.text)


def test_a_private_key_is_not_shown_again(desk):
    many = f"Acme,{PRIVATE_KEY}\n" * 101

    assert PRIVATE_KEY not in desk.post(PASTE, rows=many).text
    page = desk.post(PASTE, rows=f"Acme,{PRIVATE_KEY}").text
    assert "This looks like a private key" in page
    assert PRIVATE_KEY not in page


def test_wallet_taken_since_the_rows_were_judged_is_named_in_its_row(app, desk):
    first, second = make_wallet(), make_wallet()
    fields = fields_of(desk.post(PASTE, rows=f"Acme,{first}\nBeta,0x1\nGamma,{second}").text)

    def take(*call):
        """Let another client get Gamma's wallet just before the insert."""
        if call[2].startswith("WITH lock"):
            with app.app_context():
                add_client(name="Quicker", wallet_address=recognise(second))
                finish(commit=True)

    with app.app_context():
        engine = db.engine.engine
    event.listen(engine, "before_cursor_execute", take)
    page = desk.post(f"{PASTE}/create-valid", **fields)
    event.remove(engine, "before_cursor_execute", take)

    assert page.status_code == 409
    assert 'id="wallet_address-3-errors"' in page.text
    assert ">Open the client</a>" in page.text
    assert "Acme" not in stored(app)


def test_a_grid_whose_rows_lack_a_field_is_an_error(desk):
    page = desk.post(f"{PASTE}/create", name=["a", "b"], wallet_address=["c"])
    empty = desk.post(f"{PASTE}/check", name=[""], wallet_address=[""], email="", tier="", notes="")

    assert (page.status_code, empty.status_code) == (400, 400)


def test_denied_creation_is_recorded(app, desk):
    desk.post(f"{PASTE}/create", **fields_of(desk.post(PASTE, rows="Acme,0x1").text))

    with app.app_context():
        names = [row.event for row in db.session.query(AuditEvent)]
    assert "client.create_denied" in names


def test_viewers_cannot_paste(console):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    assert viewer.get(PASTE).status_code == 403
