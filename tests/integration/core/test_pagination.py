import pytest
from sqlalchemy import select

from pipelabs.clients.service import create_client
from pipelabs.clients.wallets import Wallet
from pipelabs.core import pagination
from pipelabs.core.errors import InvalidInput
from pipelabs.models import Client
from pipelabs.models.clients import Chain
from tests.factories import make_actor, make_new_client, make_wallet

BY_NAME = select(Client).order_by(Client.name, Client.id)


@pytest.fixture
def five(app):
    """Five clients, a to e, in an open context."""
    with app.app_context():
        for name in "abcde":
            wallet = Wallet(Chain.EVM, make_wallet())
            data = make_new_client(name=name, wallet_address=wallet, email=f"{name}@example.com")
            create_client(data, make_actor())
        yield


def names(page):
    return "".join(client.name for client in page.rows)


@pytest.mark.usefixtures("five")
def test_pages_lead_to_each_other_and_back():
    first = pagination.page_of(BY_NAME, 2)
    second = pagination.page_of(BY_NAME, 2, first.next)
    third = pagination.page_of(BY_NAME, 2, second.next)
    back = pagination.page_of(BY_NAME, 2, second.previous)

    assert [names(page) for page in (first, second, third, back)] == ["ab", "cd", "e", "ab"]
    assert (first.previous, third.next, back.previous) == (None, None, None)
    assert (first.total, first.is_capped) == (5, False)


@pytest.mark.usefixtures("five")
def test_a_long_list_is_counted_so_far_and_no_further(monkeypatch):
    monkeypatch.setattr(pagination, "MAX_COUNTED", 4)

    page = pagination.page_of(BY_NAME, 2)

    assert (page.total, page.is_capped) == (4, True)


@pytest.mark.parametrize("cursor", ["x", ">s:a", ">i:1~i:2", ">s:a~s:b", "\0", "~"])
@pytest.mark.usefixtures("five")
def test_a_cursor_of_no_list_is_refused(cursor):
    with pytest.raises(InvalidInput) as refused:
        pagination.page_of(BY_NAME, 2, cursor)

    assert list(refused.value.fields) == ["cursor"]


@pytest.mark.usefixtures("five")
def test_a_list_of_one_page_is_not_counted_twice(monkeypatch):
    monkeypatch.setattr(pagination, "_count", pytest.fail)

    assert pagination.page_of(BY_NAME, 5).total == 5
