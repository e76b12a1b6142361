"""The palette: finds anything by what people call it, from any page, and leads to what can be done.

The browser remembers which things this admin has opened last, as kinds and ids only, and sends
them with each search. They come first, with their names of now.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.admin.acts import Act, list_acts, name_thing, split_verb
from pipelabs.admin.navigation import ACTIONS, SECTIONS
from pipelabs.models import Permission
from pipelabs.search.queries import Hit, find, find_by_ids
from pipelabs.search.ranking import Rank, rank
from pipelabs.search.schemas import PaletteQuery
from pipelabs.search.terms import Terms
from pipelabs.search.things import SearchKind, Thing
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import filter_form
from pipelabs.web.pages import can

bp = OperationBlueprint("palette", __name__, url_prefix="/palette")
LIST = "admin/palette/index.html"
MAX_SHOWN = 5
"""Entries of a group, unless it is the best."""
MAX_ACTS = 5
RECENT, PAGES, ACTIONS_HEADING = "Recent", "Pages", "Actions"


class Shown(NamedTuple):
    """How a kind of things is shown: words, picture, who may see it, and its page."""

    heading: str
    word: str
    icon: str
    permission: Permission
    endpoint: str
    argument: str


KINDS: Mapping[SearchKind, Shown] = {
    SearchKind.CLIENT: Shown(
        "Clients", "Client", "user-round", Permission.CLIENTS_READ, "clients.show", "client_id"
    ),
    SearchKind.TOKEN_PAIR: Shown(
        "Token pairs",
        "Token pair",
        "coins",
        Permission.TOKEN_PAIRS_READ,
        "token_pairs.show",
        "token_pair_id",
    ),
    SearchKind.MARKET: Shown(
        "Markets",
        "Market",
        "chart-candlestick",
        Permission.TOKEN_PAIRS_READ,
        "markets.show",
        "market_id",
    ),
    SearchKind.API_KEY: Shown(
        "API keys", "API key", "key-square", Permission.API_KEYS_READ, "api_keys.show", "key_id"
    ),
    SearchKind.EXCHANGE: Shown(
        "Exchanges",
        "Exchange",
        "building-2",
        Permission.EXCHANGES_READ,
        "exchanges.show",
        "exchange",
    ),
    SearchKind.MACHINE: Shown(
        "Machines", "Machine", "monitor", Permission.MACHINES_READ, "machines.show", "machine_id"
    ),
    SearchKind.ADMIN: Shown(
        "Admins", "Admin", "user-cog", Permission.ADMINS_READ, "admins.show", "admin_id"
    ),
    SearchKind.REQUEST: Shown(
        "Requests", "Request", "scroll-text", Permission.AUDIT_READ, "audit.index", "request_id"
    ),
}
"""In the order of groups that fit equally well."""


class Entry(NamedTuple):
    """One thing to go to, with a word of what it is and a second line."""

    label: str
    detail: str
    href: str
    word: str
    icon: str
    rank: int = 0


class Group(NamedTuple):
    """Entries under a heading, the best first."""

    heading: str
    entries: Sequence[Entry]

    @property
    def rank(self) -> int:
        """Return how well the best entry fits."""
        return max(entry.rank for entry in self.entries)


@bp.operation("GET", "", permission=Permission.SELF_READ)
def index() -> ResponseReturnValue:
    """Show what fits the text, as a fragment. An error of the text is shown in its place."""
    form = filter_form(PaletteQuery, LIST, text="", groups=(), missing=())
    asked = form.load()
    text, kinds = asked["q"], [kind for kind, shown in KINDS.items() if can(shown.permission)]
    recent = [(kind, thing_id) for kind, thing_id in asked["recent"] if kind in kinds]
    groups = _search(text, kinds, recent) if text else _list_first(find_by_ids(recent))
    return render_template(
        LIST,
        form=form,
        text=text,
        groups=groups,
        missing=[shown.heading for kind, shown in KINDS.items() if kind not in kinds],
    )


def subject_of_page() -> str | None:
    """Return the kind and the id of what the current page is about, or None."""
    arguments = request.view_args or {}
    for kind, shown in KINDS.items():
        if shown.argument in arguments:
            return f"{kind}:{arguments[shown.argument]}"
    return None


def _list_first(recent: Sequence[Thing]) -> list[Group]:
    """Return what is offered before anything is typed."""
    groups = [Group(RECENT, [_entry(thing) for thing in recent]), *_list_places("")]
    return [group for group in groups if group.entries]


def _search(
    text: str, kinds: Sequence[SearchKind], recent: Sequence[tuple[SearchKind, str]]
) -> list[Group]:
    """Return the groups of what fits, the best first, with what can be done to the best thing."""
    verb, rest = split_verb(text)
    hits = _fit_whole(text, find(Terms(rest), kinds)) if rest else []
    hits.sort(key=lambda hit: (-hit.rank, (hit.thing.kind, hit.thing.id) not in recent))
    groups = [
        Group(shown.heading, entries)
        for kind, shown in KINDS.items()
        if (entries := [_entry(hit.thing, hit.rank) for hit in hits if hit.thing.kind is kind])
    ]
    found = [group for group in (*groups, *_list_places(text)) if group.entries]
    ordered = sorted(found, key=lambda group: -group.rank)
    things = [hit.thing for hit in hits] if rest else find_by_ids(recent)
    return _cut(_add_acts(ordered, things, hits, verb))


def _fit_whole(text: str, hits: Iterable[Hit]) -> list[Hit]:
    """Return the hits; those that the text fits with its verb are better than an act."""
    terms = Terms(text)
    fits = [(hit, rank(terms, hit.thing.label, hit.thing.detail, hit.thing.names)) for hit in hits]
    return [Hit(hit.thing, max(hit.rank, whole)) for hit, whole in fits]


def _add_acts(
    groups: list[Group], things: Sequence[Thing], hits: Sequence[Hit], verb: str
) -> list[Group]:
    """Add what the verb asks for before the groups, or what the best thing allows after its own."""
    if verb:
        acts = [_act_entry(act, thing) for thing in things for act in list_acts(thing, verb)]
        return [Group(ACTIONS_HEADING, acts[:MAX_ACTS]), *groups] if acts else groups
    best = hits[0] if hits else None
    if best is None or best.rank < Rank.WORDS or best.rank < groups[0].rank:
        return groups
    # The heading names the thing.
    acts = [_act_entry(act, best.thing)._replace(detail="") for act in list_acts(best.thing)]
    own = Group(f"{ACTIONS_HEADING} for {best.thing.label}", acts[:MAX_ACTS])
    return [groups[0], own, *groups[1:]] if acts else groups


def _cut(groups: Sequence[Group]) -> list[Group]:
    """Return the groups with fewer entries in all but the first."""
    return [
        group if place == 0 else group._replace(entries=group.entries[:MAX_SHOWN])
        for place, group in enumerate(groups)
    ]


def _entry(thing: Thing, fit: int = 0) -> Entry:
    shown = KINDS[thing.kind]
    arguments: dict[str, Any] = {shown.argument: thing.id}
    href = url_for(f"admin.{shown.endpoint}", **arguments)
    return Entry(thing.label, thing.detail, href, shown.word, shown.icon, fit)


def _act_entry(act: Act, thing: Thing) -> Entry:
    label = act.label.format(name_thing(thing))
    return Entry(label, thing.detail, act.url(thing), "Action", "chevron-right")


def _list_places(text: str) -> list[Group]:
    """Return the pages and actions that this admin may use and that are called so."""
    terms = Terms(text)
    pages = [
        (section.label, section.icon, url_for(f"admin.{section.noun}.index"))
        for section in SECTIONS
        if can(section.permission)
    ]
    actions = [
        (action.label, action.icon, url_for(f"admin.{action.endpoint}", _anchor=action.anchor))
        for action in ACTIONS
        if can(action.permission)
    ]
    groups = []
    for heading, word, places in ((PAGES, "Page", pages), (ACTIONS_HEADING, "Action", actions)):
        entries = [
            Entry(label, "", href, word, icon, fit)
            for label, icon, href in places
            if (fit := rank(terms, label)) >= Rank.WORDS or not text
        ]
        entries.sort(key=lambda entry: -entry.rank)
        groups.append(Group(heading, entries))
    return groups
