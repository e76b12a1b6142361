"""The form that adds many markets to a client."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, post_load

from pipelabs.core.pasted import PastedError
from pipelabs.core.schemas.fields import Input
from pipelabs.core.schemas.lists import LineList
from pipelabs.core.schemas.pasted import PastedText
from pipelabs.exchanges.schemas import ExchangeSlug
from pipelabs.markets.pasted import PastedMarkets, read_markets
from pipelabs.markets.schemas.client_markets import MAX_AT_ONCE, TermsFields


class LinesFields:
    """The fields that name the markets."""

    symbols = PastedText(
        required=True,
        metadata={
            "label": "Pairs",
            "description": "One per line or separated by commas, such as BTC/USDT, or"
            " BTC/USDT:USDT for a swap. If the exchange symbol does not follow a rule, add it:"
            " BTC/USDT = XBTUSDT. Or paste rows of a spreadsheet that begin with the names of their"
            " columns: symbol, exchange, exchange symbol, bot, spread, volume.",
            "widget": "textarea",
        },
    )
    exchanges = LineList(
        ExchangeSlug(),
        max=MAX_AT_ONCE,
        load_default=list,
        metadata={
            "label": "Exchanges",
            "description": "For the pairs that name no exchange of their own.",
        },
    )


class ClientMarketsForm(TermsFields, LinesFields, Input):
    """The form that adds many markets to a client. Loads as `PastedMarkets`.

    The terms are those of the lines that have none of their own.
    """

    @post_load
    def _read(self, data: Mapping[str, Any], **_: object) -> PastedMarkets:
        terms = {name: data[name] for name in data.keys() - {"symbols", "exchanges"}}
        try:
            return read_markets(data["symbols"], data["exchanges"], terms)
        except PastedError as error:
            raise ValidationError(str(error), "symbols") from None
