"""The engine's side of Pipe Labs: leases exchange API keys and lets go of them when told to.

    import pipelabs_agent

    with pipelabs_agent.connect() as agent:
        exchange = agent.ccxt("okx", client="acme", label="main")

It imports nothing of the service, and is also built as a wheel of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import AgentError, Denied, InUse, NotLeased, SetupError, Stopped, Unreachable

if TYPE_CHECKING:
    from .agent import Agent

__all__ = [
    "AgentError",
    "Denied",
    "InUse",
    "NotLeased",
    "SetupError",
    "Stopped",
    "Unreachable",
    "connect",
]


def connect(*, identity: str | None = None, keys: Sequence[str] = ()) -> Agent:
    """Lease this machine's keys and start polling. Close the agent, or use it in a `with`.

    `identity` is a path, else the one that `pipelabs-agent` finds. `keys` limits the agent to some
    keys, each an id or `client/exchange/label`. Raise `SetupError`, `InUse`, `Denied`,
    `Unreachable`, or `NotLeased` for one of `keys` that no grant selects.
    """
    # The service imports `protocol` only, and need not load the rest.
    from .agent import Agent  # noqa: PLC0415 - see above
    from .client import Client  # noqa: PLC0415 - see above
    from .identity import find_path, load_identity  # noqa: PLC0415 - see above

    agent = Agent(Client(load_identity(find_path(identity))), only=keys)
    agent.open()
    agent.start()
    return agent
