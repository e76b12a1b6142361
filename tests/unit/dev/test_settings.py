import pytest

from dev import settings
from dev.errors import CannotStart

DATABASE = "postgresql://db.example.com/pipelabs"
WITH_BLOCK = f"""
DEMO=0

{settings.BEGIN}
SECRET_KEY=kept-from-the-last-start
DATABASE_URL=postgresql://127.0.0.1/pipelabs
{settings.END}
STUB=0
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a reader of what a person has set, in `.env` or in the environment."""
    for name in ("DATABASE_URL", "REDIS_URL", "DEMO", "PORT", "STUB"):
        monkeypatch.delenv(name, raising=False)

    def load(text="", **variables):
        (tmp_path / ".local").mkdir(exist_ok=True)
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
        ("", {"DATABASE_URL": DATABASE}, False),
        ("", {"DATABASE_URL": DATABASE, "DEMO": "1"}, False),
        (WITH_BLOCK.replace("DEMO=0", ""), {}, True),
    ],
)
def test_demo_data_is_for_our_own_database_unless_switched_off(load, text, variables, has_demo):
    assert load(text, **variables).has_demo is has_demo


@pytest.mark.parametrize(
    ("variables", "has_stub"),
    [
        ({}, True),
        ({"STUB": "0"}, False),
        ({"EXCHANGE_BASE_URL": "http://127.0.0.1:9100"}, False),
        ({"DATABASE_URL": DATABASE}, True),
    ],
)
def test_stub_simulates_the_exchanges_unless_switched_off(load, variables, has_stub):
    assert load(**variables).has_stub is has_stub


@pytest.mark.parametrize(
    ("text", "variables", "sentence"),
    [
        ("\n# mine\n\nDEMO=no\n", {}, r"DEMO=no is not valid.*\nDEMO is set in .env, line 4\."),
        ("STUB=maybe\n", {}, r"STUB=maybe is not valid.*\nSTUB is set in .env, line 1\."),
        ("PORT=80\n", {"PORT": "0"}, r"PORT=0 is not a port.*\nPORT is set in the environment\."),
        ("LOG_LEVEL=loud\n", {}, r"LOG_LEVEL must be.*\nLOG_LEVEL is set in .env, line 1\."),
    ],
)
def test_invalid_setting_is_rejected_with_its_origin(load, text, variables, sentence):
    with pytest.raises(CannotStart, match=sentence):
        load(text, **variables).check()


def test_line_that_cannot_be_read_is_named(load):
    with pytest.raises(CannotStart, match=r"\.env, line 2 can't be read"):
        load("DEMO=0\njust words\n")


def test_our_block_is_kept_apart_from_the_lines_of_a_person(load, tmp_path):
    loaded = load(WITH_BLOCK)

    variables = loaded.finish({"DATABASE_URL": "postgresql://127.0.0.1:1/pipelabs"})

    again = settings.load(tmp_path / ".env")
    assert again.lines == "DEMO=0\nSTUB=0"
    assert again.made["SECRET_KEY"] == variables["SECRET_KEY"] == "kept-from-the-last-start"
    assert again.made["DATABASE_URL"] == "postgresql://127.0.0.1:1/pipelabs"
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_file_is_edited_unless_it_is_as_the_last_start_wrote_it(load, tmp_path):
    first = load(WITH_BLOCK)
    first.finish({})

    second = settings.load(tmp_path / ".env")
    edited = load((tmp_path / ".env").read_text() + "LOG_LEVEL=loud\n")

    assert [loaded.is_edited for loaded in (first, second, edited)] == [True, False, True]


def test_block_of_another_wording_is_recognised(load):
    text = (
        "# Written by make run and kept\nDATABASE_URL=x\n# End of what make run writes; more\nA=1"
    )

    loaded = load(text)

    assert (loaded.lines, loaded.made) == ("A=1", {"DATABASE_URL": "x"})
