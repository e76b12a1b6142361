"""How many statements a change of many rows sends."""

from pipelabs.bulk.admins import AdminsTarget
from pipelabs.bulk.api_keys import APIKeysTarget
from pipelabs.bulk.changes import apply_change
from pipelabs.bulk.client_markets import ClientMarketsTarget
from pipelabs.bulk.clients import ClientsTarget
from pipelabs.bulk.exchanges import ExchangesTarget
from pipelabs.bulk.markets import MarketsTarget
from pipelabs.core.db import db
from pipelabs.models import Client, Exchange, Role
from tests.factories import make_actor, make_admin, make_client, make_key
from tests.integration.bulk.rows import add_quoted, items_of

ACTOR = make_actor()
FEW, MANY = 4, 12
SYMBOLS = [f"T{number}/USDT" for number in range(MANY)]


def find_rows():
    """Return a target of each list, its rows, what they are set to, and the statements of each."""
    quoted = add_quoted(SYMBOLS)
    clients = [make_client(name=f"Client {number}").id for number in range(MANY)]
    keys = [make_key(label=f"label-{number}") for number in range(MANY)]
    emails = [f"{number}@desk.local" for number in range(MANY)]
    return [
        (ClientsTarget(), [db.session.get_one(Client, one) for one in clients], "tier:Basic", 3),
        (ClientMarketsTarget(quoted[0].client_id), quoted, "status:paused", 1),
        (MarketsTarget(), [row.market for row in quoted], "status:halted", 3),
        (
            ExchangesTarget(),
            db.session.query(Exchange).filter_by(is_enabled=True).limit(MANY).all(),
            "status:disabled",
            4,
        ),
        (APIKeysTarget(), keys, "stage:destroyed", 5),
        (
            AdminsTarget(),
            [make_admin(email=email, role=Role.OPERATOR) for email in emails],
            "status:disabled",
            8,
        ),
    ]


def test_every_row_costs_the_same_few_statements(app, ring, statements):
    with app.app_context():
        for target, rows, text, expected in find_rows():
            field, _, value = text.partition(":")
            db.session.commit()
            counts = []
            for part in (rows[:FEW], rows[FEW:]):
                items = items_of(target, part, {field: value})
                statements.clear()
                assert apply_change(target, items, text, ACTOR).changed == len(part)
                db.session.commit()
                counts.append(sum(not one.endswith("SAVEPOINT") for one in statements))
            few, many = counts
            each, rest = divmod(many - few, MANY - 2 * FEW)
            assert (each, rest) == (expected, 0), (target.noun, statements)
