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
def test_page_of_leads_forward_and_back():
    first = pagination.page_of(BY_NAME, 2)
    second = pagination.page_of(BY_NAME, 2, first.next)
    third = pagination.page_of(BY_NAME, 2, second.next)
    back = pagination.page_of(BY_NAME, 2, second.previous)

    assert [names(page) for page in (first, second, third, back)] == ["ab", "cd", "e", "ab"]
    assert (first.previous, third.next, back.previous) == (None, None, None)
    assert [page.total for page in (first, second, third, back)] == [5, None, None, 5]
    assert [page.is_capped for page in (first, second, third, back)] == [False, None, None, False]


@pytest.mark.usefixtures("five")
def test_page_of_caps_the_total(monkeypatch):
    monkeypatch.setattr(pagination, "MAX_COUNTED", 4)

    page = pagination.page_of(BY_NAME, 2)

    assert (page.total, page.is_capped) == (4, True)


@pytest.mark.parametrize("bookmark", ["x", ">s:a", ">i:1~i:2", ">s:a~s:b", "\0", "~"])
@pytest.mark.usefixtures("five")
def test_page_of_rejects_foreign_cursors(bookmark):
    with pytest.raises(InvalidInput) as refused:
        pagination.page_of(BY_NAME, 2, pagination.encode_cursor(bookmark))

    assert list(refused.value.fields) == ["cursor"]


@pytest.mark.usefixtures("five")
def test_page_of_counts_neither_a_single_page_nor_later_pages(monkeypatch):
    cursor = pagination.page_of(BY_NAME, 2).next
    monkeypatch.setattr(pagination, "_count", pytest.fail)

    assert pagination.page_of(BY_NAME, 5).total == 5
    assert pagination.page_of(BY_NAME, 2, cursor).total is None


@pytest.mark.usefixtures("five")
def test_page_of_tells_an_empty_list_from_a_page_past_its_end():
    last = pagination.page_of(BY_NAME, 4).next
    nobody = BY_NAME.where(Client.name == "nobody")
    only_first = BY_NAME.where(Client.name == "a")

    empty, past = pagination.page_of(nobody, 2), pagination.page_of(only_first, 4, last)

    assert (empty.rows, empty.total, empty.is_past_end) == ([], 0, False)
    assert (past.rows, past.total, past.is_past_end) == ([], None, True)
