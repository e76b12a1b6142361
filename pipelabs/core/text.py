"""What any text may contain: visible characters, no HTML, no seed phrase."""

import html
import re
import threading
import unicodedata
from functools import cache

import bleach
from bleach.html5lib_shim import HTML_TAGS
from mnemonic import Mnemonic

REJECTED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
INVISIBLE_CATEGORIES = frozenset({"Cf", "Zl", "Zp", "Zs"})
IGNORABLE = re.compile(
    "[\u2065\ufff0-\ufff8\U00013430-\U0001345f\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
"""Format characters, among them those that newer versions of Unicode have or may get."""
TAGS = range(0xE0020, 0xE0080)
"""Invisible letters that can be part of a flag. Trimming them would change the flag."""
JOINERS = frozenset("\u200c\u200d")
"""Format characters used in words (Persian, Indic) and emoji; allowed between visible ones."""
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters that Unicode counts as letters or symbols but that are invisible."""
CONTROL_NAMES = {"\0": "NUL", "\t": "tab", "\n": "line break", "\r": "line break"}
"""Unicode has no names for these."""
QUOTED_LENGTH = 20
TAG = re.compile(r"<[!?/a-zA-Z][^>]*>?")
QUOTED_TAG = re.compile(r"<[^>]{0,61}>?")
TAG_NAME = re.compile(r"</?([a-zA-Z][^\s/>]*)")
CUSTOM_ELEMENT = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", re.ASCII)
FOREIGN_ELEMENTS = frozenset({"math", "svg"})
UNCLOSED_TAG = re.compile(r"<[a-zA-Z][a-zA-Z0-9]*[\s/]+[a-zA-Z-]{2,}\s*=[^>]*\Z")
"""An unclosed tag with an attribute. Bleach treats some of these as text."""
MIN_WORDS = 12
"""BIP-39 has phrases of 12 to 24 words. Ordinary text has no 12 words of its list in a row."""
MIN_LENGTH = MIN_WORDS * 4 - 1
"""The shortest words of the list have three letters."""
WORD = re.compile(r"[a-z]+")
SEED_PHRASE = (
    "This looks like a seed phrase. Never paste one anywhere. Remove it, and move what it protects"
    " to a new wallet."
)
PRIVATE_KEY = (
    "This looks like a private key or a seed phrase. Never paste one anywhere. Enter the wallet's"
    " public address."
)
NEVER_SHOWN = frozenset({SEED_PHRASE, PRIVATE_KEY})
"""Errors of texts that a form does not show again."""
_thread = threading.local()


def trim(text: str) -> str:
    """Return the text without invisible characters at its ends.

    These are white space, line breaks, zero-width characters and direction marks, as they come with
    pasted text.
    """
    if text and "!" <= text[0] <= "~" and "!" <= text[-1] <= "~":
        # Visible ASCII at both ends, like most texts.
        return text
    start, end = 0, len(text)
    while start < end and _is_invisible(text[start]):
        start += 1
    while end > start and _is_invisible(text[end - 1]):
        end -= 1
    return text[start:end]


def is_visible(character: str) -> bool:
    """Return whether the character is visible: a letter, number, punctuation mark or symbol.

    So are characters that are newer than this Python's Unicode, which another Python knows.
    """
    category = unicodedata.category(character)
    return (category[0] in "LNPS" and character not in BLANKS) or _is_newer(character)


def find_forbidden(text: str, allowed: str = "", *, is_secret: bool = False) -> str | None:
    """Return a sentence about the first character that is not allowed in text, or None.

    These are NUL, control, format, private, surrogate and noncharacters. A joiner is allowed
    between visible characters. With `is_secret` the sentence does not quote the text. Call it
    before `find_markup`, because bleach drops NUL silently.
    """
    if text.isascii() and text.isprintable():
        return None
    for place, character in enumerate(text):
        if character in allowed or not _is_rejected(character):
            continue
        around = text[place - 1 : place] + text[place + 1 : place + 2]
        if character in JOINERS and len(around) == 2 and all(map(_can_be_joined, around)):
            continue
        where = f", character {place + 1}" if is_secret else _place(text, place)
        return f"Remove the {_name(character)}{where}."
    return None


def find_markup(text: str) -> str | None:
    """Return the beginning of the tag, comment or doctype that a browser would see, or None.

    bleach only detects: its output is escaped HTML, not what was typed. Ampersands are replaced
    before the comparison, because they start no tag and bleach would escape them. Angle brackets
    around anything but an element, such as an e-mail address, are text.
    """
    if "<" not in text:
        return None
    plain = text.replace("&", "+")
    if html.unescape(_cleaner().clean(plain)) == plain and not UNCLOSED_TAG.search(plain):
        return None
    starts = (match.start() for match in re.finditer("<", text))
    tags = (match.group() for at in starts if (match := TAG.match(text, at)))
    tag = next(filter(_is_markup, tags), "")
    return match.group() if (match := QUOTED_TAG.match(tag)) else None


def has_seed_phrase(text: str) -> bool:
    """Return whether the text has 12 words of BIP-39's English list in a row.

    Numbers, punctuation and line breaks between the words do not matter.
    """
    if len(text) < MIN_LENGTH:
        return False
    count = 0
    for word in WORD.findall(text.lower()):
        count = count + 1 if word in _seed_words() else 0
        if count == MIN_WORDS:
            return True
    return False


def _is_invisible(character: str) -> bool:
    is_mark = unicodedata.category(character) in INVISIBLE_CATEGORIES and ord(character) not in TAGS
    return is_mark or character in "\t\n\r" or character in BLANKS


def _is_rejected(character: str) -> bool:
    is_listed = unicodedata.category(character) in REJECTED_CATEGORIES
    return is_listed or bool(IGNORABLE.match(character)) or _is_noncharacter(character)


def _is_newer(character: str) -> bool:
    return unicodedata.category(character) == "Cn" and not _is_rejected(character)


def _is_noncharacter(character: str) -> bool:
    """Return whether Unicode will never assign the code point (section 23.7 of the standard)."""
    code = ord(character)
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _can_be_joined(character: str) -> bool:
    """Return whether the character is visible, or a mark of a letter or an emoji."""
    return is_visible(character) or unicodedata.category(character)[0] == "M"


def _name(character: str) -> str:
    if name := CONTROL_NAMES.get(character):
        return name
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "").lower()
    return f"{name} ({code})" if name else f"character {code}"


def _place(text: str, place: int) -> str:
    """Return where the character is: after the word before it, else before the word after it."""
    if before := _words(text[:place]):
        return f" after “{before[-1][-QUOTED_LENGTH:]}”"
    if after := _words(text[place + 1 :]):
        return f" before “{after[0][:QUOTED_LENGTH]}”"
    return ""


def _words(text: str) -> list[str]:
    seen = "".join(character if is_visible(character) else " " for character in text)
    return seen.split()


def _is_markup(tag: str) -> bool:
    if not (match := TAG_NAME.match(tag)):
        return tag[1] in "!?"
    name = match[1].lower()
    is_element = name in HTML_TAGS or name in FOREIGN_ELEMENTS or CUSTOM_ELEMENT.fullmatch(name)
    return bool(is_element) or "=" in tag


def _cleaner() -> bleach.Cleaner:
    """Return this thread's cleaner, which allows no tag. bleach's parser is not thread-safe."""
    if not hasattr(_thread, "cleaner"):
        _thread.cleaner = bleach.Cleaner(
            tags=frozenset(), attributes={}, strip=True, strip_comments=True
        )
    cleaner: bleach.Cleaner = _thread.cleaner
    return cleaner


@cache
def _seed_words() -> frozenset[str]:
    return frozenset(Mnemonic("english").wordlist)
