"""Make findings from single fields of an exchange's answer; what is odd or missing is unknown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelabs.vault.probe.report import Finding, KeyPermission, Verdict

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule found."""

    findings: tuple[Finding, ...]
    expires_at: datetime | None = None

    def complete(self) -> tuple[Finding, ...]:
        """Return a finding for each permission, in order; unknown for those without."""
        found = {one.permission: one for one in self.findings}
        return tuple(
            found.get(permission, Finding(permission, Verdict.UNKNOWN, None))
            for permission in KeyPermission
        )


def members(value: object) -> Facts:
    """Return a JSON object's members; none of anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object]:
    """Return a JSON array's items; none of anything else."""
    return value if isinstance(value, list) else []


def shown(facts: Facts, field: str) -> str | None:
    """Return the raw field as evidence, in printable ASCII, if it is there."""
    if field not in facts:
        return None
    text = json.dumps(facts[field])
    return f"{field}={text[1:-1] if isinstance(facts[field], str) else text}"


def flags(permission: KeyPermission, facts: Facts, *fields: str) -> Finding:
    """Find yes if one of the fields is true, no if all of them are false."""
    verdicts = {True: Verdict.YES, False: Verdict.NO}
    return either(
        Finding(permission, verdicts[value], shown(facts, field))
        if isinstance(value := facts.get(field), bool)
        else Finding(permission, Verdict.UNKNOWN, shown(facts, field))
        for field in fields
    )


def listed(
    permission: KeyPermission,
    facts: Facts,
    field: str,
    wanted: set[str],
    others: frozenset[str] = frozenset(),
) -> Finding:
    """Find yes if the list has a wanted name, no if all that it has instead are known.

    The list may also be one text with commas, which then is not empty.
    """
    names = None if facts.get(field) == "" else _names(facts.get(field))
    verdict = Verdict.UNKNOWN
    if names is not None and names & wanted:
        verdict = Verdict.YES
    elif names is not None and names <= others:
        verdict = Verdict.NO
    return Finding(permission, verdict, shown(facts, field))


def either(findings: Iterable[Finding]) -> Finding:
    """Return a yes if there is one, else what is unknown, else the no's as one."""
    found = list(findings)
    for verdict in (Verdict.YES, Verdict.UNKNOWN):
        for one in found:
            if one.verdict is verdict:
                return one
    evidence = ", ".join(one.evidence for one in found if one.evidence)
    return Finding(found[0].permission, Verdict.NO, evidence)


def whitelist(facts: Facts, field: str) -> Finding:
    """Find whether the key is bound to addresses; `*` stands for every address."""
    names = _names(facts.get(field))
    if names is None:
        return Finding(KeyPermission.IP_BOUND, Verdict.UNKNOWN, shown(facts, field))
    is_bound = bool(names) and "*" not in names
    verdict = Verdict.YES if is_bound else Verdict.NO
    return Finding(KeyPermission.IP_BOUND, verdict, shown(facts, field))


def expiry(facts: Facts, field: str) -> tuple[Finding, datetime | None]:
    """Find the moment when the key ends: milliseconds, or an ISO 8601 text in UTC.

    Zero and 1970 are how exchanges write that they have no date, so they prove nothing.
    """
    moment = _moment(facts.get(field))
    is_date = moment is not None and moment.year > 1970
    verdict = Verdict.YES if is_date else Verdict.UNKNOWN
    return Finding(KeyPermission.EXPIRES, verdict, shown(facts, field)), moment if is_date else None


def _names(value: object) -> set[str] | None:
    if isinstance(value, str):
        return {name for part in value.split(",") if (name := part.strip())}
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return set(value)
    return None


def _moment(value: object) -> datetime | None:
    try:
        if type(value) is int:
            return datetime.fromtimestamp(value / 1000, UTC)
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
