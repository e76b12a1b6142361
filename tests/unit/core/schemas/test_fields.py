import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from bleach.html5lib_shim import HTML_TAGS
from email_validator import validate_email
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from pipelabs.accounts.schemas.api_tokens import Network
from pipelabs.clients.schemas import WalletAddress
from pipelabs.clients.wallets import Wallet
from pipelabs.core.schemas.dates import DateOrTime
from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.fields import (
    PLAIN_EMAIL,
    EmailAddress,
    EnumField,
    Password,
    PlainText,
    Timestamp,
)
from pipelabs.core.schemas.pagination import SearchText
from pipelabs.core.text import SEED_PHRASE
from pipelabs.exchanges.schemas import ExchangeSlug
from pipelabs.markets.schemas.token_pairs import SymbolField
from pipelabs.models import Tier
from pipelabs.models.clients import Chain
from pipelabs.vault.schemas.credentials import SecretText
from tests.each import each
from tests.factories import WALLET
from tests.sizes import sized

NAME = PlainText(required=True, min=1, max=255)
NOTES = PlainText(max=1_000, lines=True)
EMAIL = EmailAddress(required=True)
TIER = EnumField(Tier, required=True)
PASSWORD = Password(required=True)
WALLET_ADDRESS = WalletAddress(required=True)
TEXTS = [NAME, NOTES, EMAIL, TIER, PASSWORD, WALLET_ADDRESS]
NAMES_OF_TEXTS = ["name", "notes", "email", "tier", "password", "wallet"]
LONGEST_LABEL = "x" * 63
LOCAL_PARTS = st.from_regex(r"[A-Za-z0-9_+-]{1,40}(\.?[A-Za-z0-9_+'-]{1,40})?", fullmatch=True)
LABELS = st.from_regex("[A-Za-z0-9][A-Za-z0-9-]{0,62}[A-Za-z0-9]?", fullmatch=True)
LAST_LABELS = st.from_regex("[A-Za-z]{1,63}", fullmatch=True)
DOMAINS = st.builds(
    lambda labels, last: ".".join([*labels, last]), st.lists(LABELS, max_size=4), LAST_LABELS
)
EMAIL_254 = f"a@{LONGEST_LABEL}.{LONGEST_LABEL}.{LONGEST_LABEL}.{'x' * 56}.com"
SMILE = "\N{GRINNING FACE}"
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"


def refusal(field, value):
    with pytest.raises(ValidationError) as caught:
        field.deserialize(value)
    [sentence] = caught.value.messages
    return sentence


@each("value", [True, 0, 1.5, [], ["a"], {}, {"a": "b"}, b"a"])
@each("field", TEXTS)
def test_text_fields_reject_other_types(field, value):
    assert refusal(field, value) == "Must be text."


@each("field", TEXTS)
def test_required_fields_reject_null(field):
    assert refusal(field, None) == "This field is required."


# White space and normal form


@each(
    ("typed", "kept"),
    [
        ("  Acme  ", "Acme"),
        ("Acme  Ltd", "Acme Ltd"),
        ("\xa0Acme\xa0\xa0Ltd\xa0", "Acme Ltd"),
        ("Acme \N{EM SPACE}\N{IDEOGRAPHIC SPACE} Ltd", "Acme Ltd"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "Café"),
        ("\N{ANGSTROM SIGN}", "\xc5"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}\N{LATIN SMALL LIGATURE FI}",) * 2,
        ("None", "None"),
        ("=1+1", "=1+1"),
    ],
)
def test_plain_text_trims_composes_and_collapses_spaces(typed, kept):
    assert NAME.deserialize(typed) == kept


@each(
    ("typed", "kept"),
    [
        ("first\nsecond", "first\nsecond"),
        ("first\r\n\r\nsecond", "first\n\nsecond"),
        ("\n\n first  line \n second\r\n", "first  line \n second"),
        ("a\xa0b", "a\xa0b"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "Café"),
        ("", ""),
        (" \xa0\n", ""),
    ],
)
def test_plain_text_with_lines_keeps_line_breaks(typed, kept):
    assert NOTES.deserialize(typed) == kept


@each(
    "blank",
    [
        "",
        "   ",
        "\xa0",
        "\N{IDEOGRAPHIC SPACE}",
        "\N{BRAILLE PATTERN BLANK}",
        "\N{HANGUL FILLER}",
        "\N{HALFWIDTH HANGUL FILLER}",
        "\N{HANGUL CHOSEONG FILLER}",
        "\N{COMBINING ACUTE ACCENT}",
        "\N{VARIATION SELECTOR-16}",
    ],
)
def test_plain_text_treats_invisible_text_as_empty(blank):
    assert refusal(NAME, blank) == "Must not be empty."


# Lengths of texts


@each(
    ("field", "text"),
    [
        pytest.param(NAME, "x", id="shortest name"),
        pytest.param(NAME, "x" * 255, id="longest name"),
        pytest.param(NAME, SMILE * 255, id="code points beyond the BMP"),
        pytest.param(NOTES, "x" * 1_000, id="longest notes"),
        pytest.param(NOTES, SMILE * 1_000, id="notes of code points beyond the BMP"),
    ],
)
def test_plain_text_length_limit_counts_code_points(field, text):
    assert field.deserialize(text) == text


@each(
    ("field", "typed", "length"),
    [
        pytest.param(NAME, "e\N{COMBINING ACUTE ACCENT}" * 255, 255, id="composed"),
        pytest.param(NAME, "a" + " " * 900 + "b", 3, id="collapsed"),
        pytest.param(NOTES, "x\r\n" * 500, 999, id="CRLF"),
        pytest.param(NAME, " " * 1_200 + "a", 1, id="trimmed name"),
        pytest.param(NOTES, "a" + "\n" * 5_000, 1, id="trimmed notes"),
    ],
)
def test_plain_text_length_is_counted_after_normalising(field, typed, length):
    assert len(field.deserialize(typed)) == length


@each(
    ("field", "text", "sentence"),
    [
        pytest.param(NAME, "x" * 256, "1 to 255 characters; this has 256.", id="name"),
        pytest.param(NAME, SMILE * 256, "1 to 255 characters; this has 256.", id="emoji"),
        pytest.param(NAME, "x" * 9_999, "1 to 255 characters; this has 9999.", id="long name"),
        pytest.param(NOTES, "x" * 1_001, "0 to 1000 characters; this has 1001.", id="notes"),
    ],
)
def test_plain_text_too_long_names_limits_and_length(field, text, sentence):
    assert refusal(field, text) == f"Must have {sentence}"


# Characters of texts


@each(
    ("character", "told"),
    [
        ("\0", "NUL"),
        ("\a", "character U+0007"),
        ("\t", "tab"),
        ("\n", "line break"),
        ("\r", "line break"),
        ("\x1b", "character U+001B"),
        ("\x1c", "character U+001C"),
        ("\x7f", "character U+007F"),
        ("\x85", "character U+0085"),
        ("\x9b", "character U+009B"),
        ("\xad", "soft hyphen (U+00AD)"),
        ("\u061c", "arabic letter mark (U+061C)"),
        ("\u180e", "mongolian vowel separator (U+180E)"),
        ("\u200b", "zero width space (U+200B)"),
        ("\u200e", "left-to-right mark (U+200E)"),
        ("\u2028", "line separator (U+2028)"),
        ("\u2029", "paragraph separator (U+2029)"),
        ("\u202a", "left-to-right embedding (U+202A)"),
        ("\u202e", "right-to-left override (U+202E)"),
        ("\u2060", "word joiner (U+2060)"),
        ("\u2066", "left-to-right isolate (U+2066)"),
        ("\u2069", "pop directional isolate (U+2069)"),
        ("\ufeff", "zero width no-break space (U+FEFF)"),
        ("\ue000", "character U+E000"),
        ("\U00100000", "character U+100000"),
        ("\ufdd0", "character U+FDD0"),
        ("\ufffe", "character U+FFFE"),
        ("\U0010ffff", "character U+10FFFF"),
        ("\ud800", "character U+D800"),
        ("\udfff", "character U+DFFF"),
        ("\U000e0041", "tag latin capital letter a (U+E0041)"),
    ],
)
def test_plain_text_names_the_forbidden_character(character, told):
    assert refusal(NAME, f"Ac{character}me") == f"Remove the {told} after “Ac”."


@each(
    ("text", "sentence"),
    [
        ("Pipe\tLabs Ltd", "Remove the tab after “Pipe”."),
        ("Pipe Labs\0", "Remove the NUL after “Labs”."),
        ("\0Pipe Labs", "Remove the NUL before “Pipe”."),
        ("\0", "Remove the NUL."),
        ("x" * 30 + "\0y", f"Remove the NUL after “{'x' * 20}”."),
    ],
)
def test_plain_text_says_where_the_forbidden_character_is(text, sentence):
    assert refusal(NAME, text) == sentence


@each(
    "invisible",
    ["\t", "\n", "\r\n", " ", "\u00a0", "\u200b", "\u200e", "\u202e", "\ufeff", "\u3000", "\u2800"],
)
def test_every_field_drops_invisible_characters_at_the_ends(invisible):
    for field, text in (
        (NAME, "Acme"),
        (NOTES, "Acme"),
        (EmailAddress(), "a@desk.local"),
        (EnumField(Tier), "Premium"),
        (WalletAddress(), WALLET),
        (SymbolField(), "BTC/USDT"),
        (ExchangeSlug(), "okx"),
        (Amount(), "0.5"),
        (DateOrTime(), "2027-05-31"),
        (Network(), "192.0.2.0/24"),
        (SecretText(), "word"),
        (SearchText(), "acme"),
    ):
        loaded = field.deserialize(f"{invisible}{text}{invisible * 2}")

        assert repr(loaded) == repr(field.deserialize(text)), type(field)


@each("field", [NAME, NOTES, SearchText(), SecretText(), Network()])
@each("text", [PHRASE, f"\0{PHRASE}", f"<b>{PHRASE}"])
def test_text_fields_reject_a_seed_phrase_and_quote_nothing(field, text):
    assert refusal(field, text) == SEED_PHRASE


@each("secret", ["correct horse\0battery", "correct horse\tbattery"])
def test_sentence_about_a_secret_does_not_quote_it(secret):
    for field in (Password(), WalletAddress()):
        assert "horse" not in refusal(field, secret)
        assert "character 14" in refusal(field, secret)


def test_plain_text_keeps_the_flag_of_england():
    assert "tag latin" in refusal(NAME, "\U0001f3f4\U000e0067\U000e007f")


@each("character", ["\u0378", "\U0001fae8", "\U0001f6dc", "\U000323b0"])
def test_plain_text_keeps_characters_newer_than_this_python(character):
    assert NAME.deserialize(character) == NOTES.deserialize(character) == character


@each("character", ["\0", "\t", "\v", "\f", "\r", "\x85", "\u2028"])
def test_plain_text_with_lines_rejects_other_control_characters(character):
    assert refusal(NOTES, f"first\n{character}second").endswith(" after “first”.")


@each("field", [EMAIL, PASSWORD, WALLET_ADDRESS])
@each("character", ["\0", "\n", "\u202e", "\u200b", "\ud800"])
def test_all_text_fields_reject_forbidden_characters(field, character):
    assert refusal(field, f"a{character}@example.com").startswith("Remove the ")


@each(
    "text",
    [
        "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}",
        "\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}\u200d\N{FIRE}",
        "\N{WAVING WHITE FLAG}\N{VARIATION SELECTOR-16}\u200d\N{RAINBOW}",
        "\N{RUNNER}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\u200d\N{FEMALE SIGN}",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: I want
        "\u0915\u094d\u200d\u0937",  # Devanagari: a half letter
        "\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}",
        "\u0634\u0631\u06a9\u062a \u05d7\u05d1\u05e8\u05d4",
        "\u6728\u6751 Trading",
    ],
)
def test_plain_text_keeps_joiners_in_words_and_emoji(text):
    assert NAME.deserialize(text) == NOTES.deserialize(text) == text


@each("field", [NAME, NOTES])
@each("text", ["a \u200d b", "a \u200db", "a\u200d\u200db"])
def test_plain_text_rejects_joiners_without_visible_neighbours(field, text):
    assert "zero width" in refusal(field, text)


# Markup in texts


@each("field", [NAME, NOTES])
@each(("text", "found"), [("a <b>bold move", "<b>"), ("<!-- hidden -->", "<!-- hidden -->")])
def test_plain_text_rejects_and_quotes_markup(field, text, found):
    assert refusal(field, text) == f"HTML is not allowed (found {found})."


@each("text", ["a < b", "i <3 AT&T & <10k", "Jane Roe <jane@desk.example>", "size <BTC 0.1>"])
def test_plain_text_keeps_text_without_tags(text):
    assert NAME.deserialize(text) == NOTES.deserialize(text) == text


class Tags(HTMLParser):
    """The standard library's opinion: does the text have an element or an attribute?"""

    found = False

    def handle_starttag(self, tag, attrs):
        has_value = any(value is not None for _, value in attrs)
        self.found = self.found or tag in HTML_TAGS or has_value

    handle_startendtag = handle_starttag


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.text(st.sampled_from("<>&;/!?-=ab3 '\"")) | st.text(st.characters()))
def test_plain_text_output_has_no_tags_and_is_stable(typed):
    try:
        kept = NAME.deserialize(typed)
    except ValidationError:
        return

    judge = Tags()
    judge.feed(kept)
    assert not judge.found
    assert kept == NAME.deserialize(kept) == " ".join(unicodedata.normalize("NFC", typed).split())


# E-mail addresses


@each(
    ("typed", "kept"),
    [
        ("a@b.de", "a@b.de"),
        ("Anna.Lee+Desk@Example.COM", "anna.lee+desk@example.com"),
        ("  a@b.de ", "a@b.de"),
        ("o'brien@b.de", "o'brien@b.de"),
        ("a@desk.local", "a@desk.local"),
        ("a@x.test", "a@x.test"),
        ("a@sub.example.com", "a@sub.example.com"),
        ("A@XN--BCHER-KVA.DE", "a@xn--bcher-kva.de"),
        pytest.param("x" * 64 + "@b.de", "x" * 64 + "@b.de", id="local part of 64"),
        pytest.param(f"a@{LONGEST_LABEL}.de", f"a@{LONGEST_LABEL}.de", id="label of 63"),
        pytest.param(EMAIL_254, EMAIL_254, id="254"),
        pytest.param(f" {EMAIL_254.upper()} ", EMAIL_254, id="254 and spaces"),
    ],
)
def test_email_is_trimmed_and_lower_cased(typed, kept):
    assert EMAIL.deserialize(typed) == kept


@each(
    "typed",
    [
        "",
        " ",
        "a",
        "a@",
        "@b",
        "a@b",
        "a b@c.de",
        "a@b c.de",
        "a@b..de",
        "a@b.de.",
        ".a@b.de",
        "a.@b.de",
        "a..b@b.de",
        "a@b@c.de",
        "a@@b.de",
        "a@-b.de",
        "a@b-.de",
        "a@b_c.de",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        '"a b"@c.de',
        "Anna <a@b.de>",
        "a@b.de, c@d.de",
        "mailto:a@b.de",
        "' OR 1=1--",
        "a@xn--",
        "a@xn--zzzzzz.de",
        pytest.param("x" * 65 + "@b.de", id="local part of 65"),
        pytest.param(f"a@x{LONGEST_LABEL}.de", id="label of 64"),
    ],
)
def test_email_rejects_invalid_addresses(typed):
    assert refusal(EMAIL, typed) == "This is not an e-mail address."


@each(
    "typed", ["\xe9@b.de", "a@b\xfccher.de", "\N{KELVIN SIGN}@b.de", "a@b\N{FULLWIDTH FULL STOP}de"]
)
def test_email_rejects_non_ascii_and_suggests_punycode(typed):
    assert "xn--" in refusal(EMAIL, typed)


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param(EMAIL_254.replace("a@", "ab@"), id="255"),
        pytest.param("a" * 200_000 + "@b.de", id="200,005"),
    ],
)
def test_email_too_long_names_the_limit(typed):
    assert refusal(EMAIL, typed) == "An e-mail address has at most 254 characters."


@sized(500, 5_000)
def test_plain_email_is_what_the_library_accepts_unchanged(size):
    settings(max_examples=size, deadline=None)(
        given(st.builds("{}@{}".format, LOCAL_PARTS, DOMAINS))(is_accepted)
    )()


def is_accepted(text):
    if len(text) <= 254 and PLAIN_EMAIL.fullmatch(text):
        parsed = validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True)

        assert str(parsed.ascii_email).lower() == EMAIL.deserialize(text) == text.lower()


@each(
    ("typed", "is_plain"),
    [
        ("a@b.de", True),
        ("Anna.Lee+Desk_2-x@Sub-1.Example.COM", True),
        (EMAIL_254, True),
        ("x" * 64 + "@b.de", True),
        ("x" * 65 + "@b.de", False),
        (f"a@x{LONGEST_LABEL}.de", False),
        ("a@xn--bcher-kva.de", False),
        ("a@ab--c.de", False),
        ("a@b.c0", False),
        ("a@b.1", False),
        ("o'brien@b.de", False),
        ("a@b.de\n", False),
    ],
)
def test_plain_email_matches_usual_addresses_only(typed, is_plain):
    assert bool(PLAIN_EMAIL.fullmatch(typed)) is is_plain


# Choices


@each("typed", ["Premium", "premium", "PREMIUM", " pReMiUm "])
def test_enum_field_is_case_insensitive(typed):
    assert TIER.deserialize(typed) is Tier.PREMIUM


@each(
    "typed",
    [
        "",
        " ",
        "Gold",
        "Premium\0",
        "Pre mium",
        "Pre\tmium",
        "Tier.PREMIUM",
        "'; SELECT 1--",
        "PREM\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}UM",
    ],
)
def test_enum_field_lists_the_choices(typed):
    assert refusal(TIER, typed) == "Must be one of: Basic, Standard, Premium, Enterprise."


@pytest.mark.parametrize("value", [Tier.PREMIUM, "Premium"])
def test_enum_field_serialises_the_value(value):
    answered = TIER.serialize("tier", {"tier": value})

    assert (type(answered), answered) == (str, "Premium")


# Passwords


@each("typed", [" a ", "x" * 128, SMILE * 128, "<b>", "e\u0301"])
def test_password_field_keeps_the_text_as_typed(typed):
    assert PASSWORD.deserialize(typed) == typed


@each("length", [0, 129, 200_000])
def test_password_field_rejects_wrong_lengths(length):
    sentence = refusal(PASSWORD, "x" * length)

    assert sentence == f"Must have 1 to 128 characters; this has {length}."


# Times


@each(
    ("moment", "answered"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 6_999, tzinfo=UTC), "2026-01-02T03:04:05.006Z"),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-12-31T23:59:59.999Z"),
        (
            datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2026-01-01T21:34:00.000Z",
        ),
        (None, None),
    ],
)
def test_timestamp_serialises_utc_milliseconds(moment, answered):
    assert Timestamp().serialize("at", {"at": moment}) == answered


# Wallet addresses


@each("typed", [WALLET, WALLET.lower(), f"  {WALLET} ", f"0x{WALLET[2:].upper()}"])
def test_wallet_address_loads_in_canonical_form(typed):
    assert WALLET_ADDRESS.deserialize(typed) == Wallet(Chain.EVM, WALLET)


@each(
    ("typed", "told"),
    [
        ("0xWalletAddress", "documentation's placeholder"),
        ("0x" + "0" * 40, "zero address"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "all lower case skips this check"),
        (WALLET[:-1], "this has 39 digits"),
        ("", "Unsupported address"),
        pytest.param("x" * 200_000, "Unsupported address", id="long"),
    ],
)
def test_wallet_address_error_is_one_sentence(typed, told):
    assert told in refusal(WALLET_ADDRESS, typed)


def test_wallet_address_error_does_not_repeat_a_pasted_key():
    key = "ab" * 32

    assert key not in refusal(WALLET_ADDRESS, key)
