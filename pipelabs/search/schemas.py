"""The query string of a search."""

from typing import Any

from marshmallow import fields

from pipelabs.core.schemas.fields import Query
from pipelabs.core.schemas.pagination import SearchText
from pipelabs.search.things import SearchKind

MAX_RECENT = 8
MAX_RECENT_LENGTH = 2_000
KINDS = {kind.value: kind for kind in SearchKind}


class RecentThings(fields.Field[list[tuple[SearchKind, str]]]):
    """Kinds and ids such as `client:…,market:…`, the latest first.

    The browser keeps them, maybe for longer than this version knows them, so others are left out.
    """

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "length": f"Must have at most {MAX_RECENT_LENGTH:,} characters."
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **rest: Any
    ) -> list[tuple[SearchKind, str]]:
        text = str(value)
        if len(text) > MAX_RECENT_LENGTH:
            raise self.make_error("length")
        pairs = (item.partition(":") for item in text.split(",")[:MAX_RECENT])
        return [(KINDS[kind], thing_id) for kind, _, thing_id in pairs if kind in KINDS]


class PaletteQuery(Query):
    """What the palette asks for: a text, and what this admin has opened last."""

    q = SearchText(load_default="")
    recent = RecentThings(load_default=list)
