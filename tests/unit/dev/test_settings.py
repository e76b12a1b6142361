import pytest

from dev import settings
from dev.errors import CannotStart


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Return a reader of what a person has set, in the environment or in `.env`."""
    for name in ("DATABASE_URL", "DEMO"):
        monkeypatch.delenv(name, raising=False)

    def load(text="", **variables):
        (tmp_path / ".env").write_text(text)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return settings.load(tmp_path / ".env")

    return load


@pytest.mark.parametrize(
    ("text", "variables", "has_demo"),
    [
        ("", {}, True),
        ("", {"DEMO": "1"}, True),
        ("", {"DEMO": ""}, True),
        ("", {"DEMO": "0"}, False),
        ("DEMO=0\n", {}, False),
        ("DEMO=0\n", {"DEMO": "1"}, True),
    ],
)
def test_a_new_book_has_the_demo_unless_told_otherwise(given, text, variables, has_demo):
    assert given(text, **variables).has_demo is has_demo


@pytest.mark.parametrize("demo", [{}, {"DEMO": "1"}])
def test_a_database_that_a_person_has_named_gets_no_demo(given, demo):
    assert not given(DATABASE_URL="postgresql://db.example.com/pipelabs", **demo).has_demo


def test_the_database_of_the_last_run_is_nobodys_choice(given):
    block = f"{settings.BEGIN}\nDATABASE_URL=postgresql://127.0.0.1/pipelabs\n{settings.END}\n"

    assert given(block).has_demo


@pytest.mark.parametrize("demo", ["no", "yes", "2"])
def test_a_demo_that_is_neither_is_told_so(given, demo):
    with pytest.raises(CannotStart, match=f"DEMO={demo} is neither"):
        given(DEMO=demo).has_demo  # noqa: B018 - it raises


@pytest.mark.parametrize(
    ("variables", "has_stub"),
    [
        ({}, True),
        ({"STUB": "0"}, False),
        ({"EXCHANGE_BASE_URL": "http://127.0.0.1:9100"}, False),
        ({"DATABASE_URL": "postgresql://db.example.com/pipelabs"}, True),
    ],
)
def test_a_stub_stands_for_the_exchanges_unless_told_otherwise(given, variables, has_stub):
    assert given(**variables).has_stub is has_stub


def test_a_stub_that_is_neither_is_told_so(given):
    with pytest.raises(CannotStart, match="STUB=maybe is neither"):
        given(STUB="maybe").has_stub  # noqa: B018 - it raises
