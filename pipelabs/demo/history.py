"""The acts of a year: each is planned with its time and its actor, and carried out in order.

The services of the domains carry them out while the clock is set to the time of the act. So the
rows, their versions and the audit events are what the desk itself would have left. All is planned
from one seed: two books differ in what depends on the day of the week alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter
from random import Random
from time import perf_counter
from uuid import UUID

from pipelabs.audit import trail
from pipelabs.core.actor import Actor
from pipelabs.markets.quoted_days import count_today
from pipelabs.models import Admin
from pipelabs.models.clock import set_clock

SEED = 20_260_122
DAYS = 365
"""How many days the book goes back."""
INSTANCE = "demo"
"""The instance that the audit events name. No service here runs as it, so its lines are nowhere."""
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
OPENS, CLOSES, SATURDAY = 7, 18, 5
"""The desk works on weekdays, in UTC."""
Do = Callable[[Actor], object]


@dataclass(frozen=True, slots=True)
class Act:
    """What an actor does at a time."""

    at: datetime
    actor: Actor
    do: Do


@dataclass(slots=True)
class History:
    """The acts until `ends_at`, and the admins who may act."""

    ends_at: datetime
    random: Random = field(default_factory=lambda: Random(SEED))  # noqa: S311 - the same each time
    acts: list[Act] = field(default_factory=list)
    admins: dict[str, Admin] = field(default_factory=dict)
    """E-mail address → row, which is stored when the admin joins."""
    sessions: list[dict[str, object]] = field(default_factory=list)
    """Rows of sessions, which are inserted together."""
    addresses: dict[str, str] = field(default_factory=dict)
    """E-mail address → where the admin works."""

    def add(self, at: datetime, actor: Actor, do: Do) -> None:
        """Plan an act."""
        self.acts.append(Act(at, actor, do))

    def play(self) -> None:
        """Carry out all acts, the earliest first, and count the quoted markets every day."""
        day = self.ends_at - DAYS * DAY
        with trail.record_as(INSTANCE):
            for act in sorted(self.acts, key=attrgetter("at")):
                while day < act.at:
                    with set_clock(day):
                        count_today()
                    day += DAY
                started = perf_counter() - self.random.uniform(2, 9) / 1000
                with set_clock(act.at):
                    act.do(replace(act.actor, started=started))

    def actor(self, name: str | None, address: str | None = None, *, status: int = 200) -> Actor:
        """Return an admin by e-mail address, or whatever else acts under a name, for one act.

        `status` is the HTTP status of an act that succeeds.
        """
        request_id = f"{self.random.getrandbits(32):08x}"
        admin = self.admins.get(name or "")
        if admin is None:
            return Actor(request_id=request_id, name=name, address=address)
        return Actor(
            request_id=request_id,
            address=address or self.addresses[admin.email],
            name=admin.email,
            admin_id=admin.id,
            role=admin.role,
            permissions=admin.role.permissions,
            success_status=status,
        )

    def machine(self, name: str, machine_id: UUID, address: str) -> Actor:
        """Return a machine for one act."""
        actor = self.actor(f"machine:{name}", address)
        return replace(actor, machine_id=machine_id, success_status=200)

    def ago(self, days: float = 0, hours: float = 0) -> datetime:
        """Return a time before the end, up to a minute later."""
        return self.ends_at - days * DAY - hours * HOUR + self._random_ms()

    def workday(self, days: float) -> datetime:
        """Return working hours about so many days before the end."""
        return self.next(self.ends_at - days * DAY - HOUR)

    def next(self, after: datetime, days: float = 0) -> datetime:
        """Return working hours about so many days later: after `after` and before the end."""
        moment = after + days * DAY + self.random.randint(5, 50) * MINUTE
        if moment.hour >= CLOSES:
            moment += DAY - (moment.hour - OPENS) * HOUR
        elif moment.hour < OPENS:
            moment += (OPENS - moment.hour) * HOUR
        if moment.weekday() >= SATURDAY:
            moment += (7 - moment.weekday()) * DAY
        moment += self._random_ms()
        return moment if moment < self.ends_at else after + (self.ends_at - after) / 2

    def _random_ms(self) -> timedelta:
        return timedelta(milliseconds=self.random.randrange(60_000))
