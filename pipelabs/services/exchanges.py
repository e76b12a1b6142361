"""The rules of exchanges."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from pipelabs import registry
from pipelabs.audit import Actor
from pipelabs.errors import InvalidInput
from pipelabs.extensions import db
from pipelabs.models import Exchange

FACTS = ("slug", "name", "kind", "website", "docs_url", "symbol_style", "has_testnet")


def get_enabled(slug: str) -> Exchange:
    """Return the exchange, or raise `InvalidInput` on `exchange` if it is unknown or disabled."""
    found = db.session.get(Exchange, slug)
    if found and found.is_enabled:
        return found
    sentence = f"{found.name} is disabled." if found else "There is no such exchange."
    raise InvalidInput(f"Invalid input: exchange. {sentence}", fields={"exchange": [sentence]})


def enabled_slugs() -> list[str]:
    """Return the slugs of the exchanges that can be used, in order."""
    wanted = select(Exchange.slug).where(Exchange.is_enabled).order_by(Exchange.slug)
    return list(db.session.scalars(wanted))


def ensure_exchanges(_: Actor) -> None:
    """Add a row for each exchange of the registry that has none."""
    for one in registry.known().values():
        values = {name: getattr(one, name) for name in FACTS}
        values |= {"credentials": list(one.credentials), "aliases": list(one.aliases)}
        db.session.execute(insert(Exchange).values(values).on_conflict_do_nothing())
