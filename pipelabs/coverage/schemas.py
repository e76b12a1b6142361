"""Schemas of the coverage."""

from marshmallow import Schema, fields

from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField
from pipelabs.core.schemas.pagination import ListQuery, PageOut, SearchText
from pipelabs.coverage.rules import Coverage, CoverageFilter, KeyProblem
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.markets.schemas.markets import ClientNamed

COUNTS = {"covered": 79, "key_unusable": 12, "no_key": 26, "not_quoted": 4}
COVERAGE = (
    "`covered`: quoted, with a live key that is verified and has not expired. `key_unusable`:"
    " quoted, with a live key that is not. `no_key`: quoted, without a live key. `not_quoted`: a"
    " live key, and no active market."
)


class CoverageQuery(ListQuery):
    """Filters of the coverage. A client is listed if a cell of it matches all of them."""

    q = SearchText(
        load_default="",
        metadata={"description": "Part of the client's name, wallet or e-mail address."},
    )
    pair = SearchText(
        load_default="",
        metadata={"description": "Part of a symbol, in any spelling. Counts only its markets."},
    )
    exchange = ExchangeSlug(metadata={"description": "Slug or alias."})
    status = EnumField(
        CoverageFilter,
        metadata={"description": "One kind of cells; `gap` has `key_unusable` and `no_key`."},
    )


class CellOut(Schema):
    """A client at an exchange."""

    exchange = fields.String(metadata=EXCHANGE)
    markets = fields.Integer(
        metadata={"example": 12, "description": "Markets in which the client is quoted as active."}
    )
    coverage = EnumField(Coverage, metadata={"example": "key_unusable", "description": COVERAGE})
    key_id = fields.UUID(
        allow_none=True,
        metadata={"description": "The key that may be used, or else the newest live one."},
    )
    key_problem = EnumField(
        KeyProblem,
        allow_none=True,
        metadata={"example": "quarantined", "description": "Why that key may not be used."},
    )


class CoverageOut(Schema):
    """A client, and where it is quoted or has a live key."""

    client = fields.Nested(ClientNamed)
    cells = fields.List(fields.Nested(CellOut))
    markets = fields.Integer(attribute="total.markets", metadata={"example": 12})
    gaps = fields.Integer(attribute="total.gaps", metadata={"example": 1})


class CoverageListed(Success):
    """A page of the coverage, and the number of cells of each kind in the whole book."""

    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={
            "example": COUNTS,
            "description": "Up to 10,000; 10,001 if there are more. Up to 15 s old in a book of"
            " more than 50,000 client markets.",
        },
    )
    exchanges = fields.List(
        fields.String(metadata=EXCHANGE), metadata={"description": "Exchanges of this page."}
    )
    data = fields.List(fields.Nested(CoverageOut))
    page = fields.Nested(PageOut)
