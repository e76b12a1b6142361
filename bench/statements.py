"""pgbench with the statements of a create: the database's limit."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import make_url

from bench.load import Loaded, WrongAnswer, percentile
from dev import programs
from dev.errors import CannotStart
from dev.processes import run as run_program

KINDS = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": ":{0}a-:{0}b-4:{0}c-8:{0}c-:{0}a:{0}b",
    # decimal digits are hexadecimal ones too
    r"0x[0-9a-fA-F]{40}": "0x:{0}a:{0}d:{0}e:{0}f:{0}g",
    r"[0-9a-f]+@example\.com": ":{0}a:{0}d:{0}e@example.com",
}
"""What must be unique, and its form; pgbench replaces each `:name` with a number."""
DIGITS = {"a": 8, "b": 4, "c": 3, "d": 8, "e": 8, "f": 8, "g": 8}
VALUE = re.compile("|".join(f"(?:{kind})" for kind in KINDS))
NUMBER = re.compile(r"(?<=[(,\s])\d+(?=[,)])")
RETURNED = "audit_id"
"""What the insert of a client returns, and the insert of the audit row sends."""
PREPARED = "is_prepared"
"""A variable that pgbench keeps for each connection."""


def program() -> str | None:
    """Return the path of pgbench, if possible of the server's version."""
    beside = programs.postgres() / "pgbench"
    return str(beside) if beside.exists() else shutil.which("pgbench")


def script(prepared: Sequence[str], first: Sequence[str], second: Sequence[str]) -> str:
    """Return pgbench's script of a request, from what two requests sent on a prepared connection.

    Ids, wallets and e-mail addresses that the two do not share become random ones, and the number
    in which they differ becomes the id that PostgreSQL has returned. The rest need not be
    unique and stays as the first request sent it. Raise `WrongAnswer` if the two differ in more.
    """
    if len(first) != len(second):
        raise WrongAnswer("Two creates sent different numbers of statements.")
    first = [*first[:-1], _with_returned(first[-1], second[-1])]
    seen = {value: None for text in first for value in _values(text)}
    kept = {value for text in second for value in _values(text)}
    forms = {value: _form(value, f"v{n}") for n, value in enumerate(seen) if value not in kept}
    drawn = sorted(set(re.findall(r":(v\d+)([a-g])", " ".join(forms.values()))))
    draws = [
        f"\\set {name}{letter} random({10 ** (DIGITS[letter] - 1)}, {10 ** DIGITS[letter] - 1})"
        for name, letter in drawn
    ]
    once = [f"\\if :{PREPARED}", "\\else", *map(_command, prepared)]
    once += [f"\\set {PREPARED} 1", "\\endif"]
    texts = [_command(VALUE.sub(lambda m: forms.get(m[0], m[0]), text)) for text in first]
    texts[-2] = texts[-2].removesuffix(";") + " \\gset"
    return "\n".join([*once, *draws, *texts]) + "\n"


def run(pgbench: str, url: str, file: Path, numbers: Mapping[str, int]) -> Loaded:
    """Run the script on `connections` for `seconds`; raise `WrongAnswer` if it fails."""
    address = make_url(url)
    environment = {
        "PGHOST": address.host or "",
        "PGPORT": str(address.port),
        "PGUSER": address.username or "",
        "PGPASSWORD": str(address.password),
        "PGDATABASE": address.database or "",
    }
    prefix = file.with_name("pgbench_log")
    for log in file.parent.glob("pgbench_log.*"):
        log.unlink()
    argv = [pgbench, "-n", "-f", str(file), "-c", str(numbers["connections"])]
    argv += [
        "-D",
        f"{PREPARED}=0",
        "-T",
        str(numbers["seconds"]),
        "--log",
        f"--log-prefix={prefix}",
    ]
    try:
        text = run_program(argv, environment)
    except CannotStart as error:
        raise WrongAnswer(f"pgbench failed:\n{error}") from None
    rate = re.search(r"^tps = ([\d.]+)", text, re.MULTILINE)
    if not rate or "failed transactions: 0 " not in text:
        raise WrongAnswer(f"pgbench failed:\n{text[-2000:]}")
    times = [
        int(line.split()[2]) / 1000
        for log in file.parent.glob("pgbench_log.*")
        for line in log.read_text().splitlines()
    ]
    seconds = len(times) / float(rate[1])
    return Loaded(len(times), seconds, percentile(times, 0.5), percentile(times, 0.99))


def read(recorded: str) -> tuple[str, str]:
    """Return the token and the script from what `bench.record` printed last."""
    facts = json.loads(recorded.splitlines()[-1])
    return facts["token"], script(facts["prepared"], *facts["statements"])


def _with_returned(text: str, other: str) -> str:
    """Return the statement with what PostgreSQL returned before in place of that number."""
    pairs = zip(NUMBER.findall(text), NUMBER.findall(other), strict=True)
    differing = {number for number, its in pairs if number != its}
    if len(differing) != 1:
        raise WrongAnswer("The last statements of two creates differ in more than one number.")
    (returned,) = differing
    return NUMBER.sub(lambda m: f":{RETURNED}" if m[0] == returned else m[0], text)


def _command(text: str) -> str:
    """Return what the application sent at once as a command that pgbench sends at once.

    It is one line: pgbench would read one that begins with a backslash as its own command.
    """
    line = " ".join(text.split("\n"))
    line = re.sub("^BEGIN; ", r"BEGIN\\; ", line)
    return re.sub("; COMMIT$", r"\\; COMMIT", line) + ";"


def _values(text: str) -> list[str]:
    return [match[0] for match in VALUE.finditer(text)]


def _form(value: str, name: str) -> str:
    for kind, form in KINDS.items():
        if re.fullmatch(kind, value):
            return form.format(name)
    raise ValueError(value)
