"""Findings from single fields of an exchange's answer; a missing or unexpected one is unknown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelabs.vault.probe.report import Finding, KeyPermission, Verdict

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reading:
    """The findings of a rule."""

    findings: tuple[Finding, ...]
    expires_at: datetime | None = None

    def complete(self) -> tuple[Finding, ...]:
        """Return a finding for each permission, in order; unknown if there is none."""
        findings = {finding.permission: finding for finding in self.findings}
        return tuple(
            findings.get(permission, Finding(permission, Verdict.UNKNOWN, None))
            for permission in KeyPermission
        )


def members(value: object) -> Facts:
    """Return the members of a JSON object, or an empty mapping for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object]:
    """Return the items of a JSON array, or an empty list for anything else."""
    return value if isinstance(value, list) else []


def evidence_of(facts: Facts, field: str) -> str | None:
    """Return the raw field as evidence in printable ASCII, or None if it is missing."""
    if field not in facts:
        return None
    text = json.dumps(facts[field])
    return f"{field}={text[1:-1] if isinstance(facts[field], str) else text}"


def from_flags(permission: KeyPermission, facts: Facts, *fields: str) -> Finding:
    """Return yes if one of the fields is true, no if all of them are false."""
    verdicts = {True: Verdict.YES, False: Verdict.NO}
    return either(
        Finding(permission, verdicts[value], evidence_of(facts, field))
        if isinstance(value := facts.get(field), bool)
        else Finding(permission, Verdict.UNKNOWN, evidence_of(facts, field))
        for field in fields
    )


def from_list(
    permission: KeyPermission,
    facts: Facts,
    field: str,
    granting: set[str],
    known: frozenset[str] = frozenset(),
    *,
    may_be_empty: bool = False,
) -> Finding:
    """Return yes if the list has a granting name, no if it is in order and all names are known.

    The list may also be a text with commas. One with a blank, a repeated name or, unless
    `may_be_empty`, without any name proves nothing: it may be cut off.
    """
    names = _names(facts.get(field))
    verdict = Verdict.UNKNOWN
    if names is not None and granting.intersection(names):
        verdict = Verdict.YES
    elif names is not None and _is_in_order(names, may_be_empty=may_be_empty):
        verdict = Verdict.NO if known.issuperset(names) else Verdict.UNKNOWN
    return Finding(permission, verdict, evidence_of(facts, field))


def either(findings: Iterable[Finding]) -> Finding:
    """Return the first yes, else the first unknown, else one no with all the evidence."""
    candidates = list(findings)
    for verdict in (Verdict.YES, Verdict.UNKNOWN):
        for finding in candidates:
            if finding.verdict is verdict:
                return finding
    evidence = ", ".join(finding.evidence for finding in candidates if finding.evidence)
    return Finding(candidates[0].permission, Verdict.NO, evidence)


def whitelist(facts: Facts, field: str) -> Finding:
    """Return whether the key is bound to IP addresses; `*` means any address."""
    names = _names(facts.get(field))
    if names is None:
        return Finding(KeyPermission.IP_BOUND, Verdict.UNKNOWN, evidence_of(facts, field))
    is_bound = any(names) and "*" not in names
    verdict = Verdict.YES if is_bound else Verdict.NO
    return Finding(KeyPermission.IP_BOUND, verdict, evidence_of(facts, field))


def expiry(facts: Facts, field: str) -> tuple[Finding, datetime | None]:
    """Return whether and when the key expires: milliseconds, or an ISO 8601 text in UTC.

    Zero and 1970 are how exchanges write that they have no date, so they prove nothing.
    """
    time = _parse_time(facts.get(field))
    if time is None or time.year <= 1970:
        return Finding(KeyPermission.EXPIRES, Verdict.UNKNOWN, evidence_of(facts, field)), None
    return Finding(KeyPermission.EXPIRES, Verdict.YES, evidence_of(facts, field)), time


def _names(value: object) -> list[str] | None:
    """Return the names of a list, or of a text with commas; None for anything else."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    return None


def _is_in_order(names: Sequence[str], *, may_be_empty: bool) -> bool:
    is_plain = all(name.strip() and "," not in name for name in names)
    return is_plain and len(set(names)) == len(names) and (may_be_empty or bool(names))


def _parse_time(value: object) -> datetime | None:
    try:
        if type(value) is int:
            return datetime.fromtimestamp(value / 1000, UTC)
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            # Here, because a time at the end of the calendar may have none in UTC.
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
