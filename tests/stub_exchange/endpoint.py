"""An endpoint of the stub: what it answers, and who may ask."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from tests.stub_exchange.answers import Grant
from tests.stub_exchange.orders import Orders
from tests.stub_exchange.request import Request


class Access(Enum):
    """What a key needs."""

    PUBLIC = auto()
    """No key at all."""
    READ = auto()
    TRADE = auto()


@dataclass(frozen=True)
class Call:
    """A request that is allowed, the permissions of its key, and the orders of all keys.

    `now` is the exchange's clock in Unix seconds.
    """

    request: Request
    key: Grant
    orders: Orders
    now: float


@dataclass(frozen=True)
class Endpoint:
    """A function that answers, and its conditions."""

    answer: Callable[[Call], object]
    access: Access = Access.READ
    is_unified: bool = False
    """Whether it is for unified accounts."""
