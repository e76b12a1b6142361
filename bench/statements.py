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


def program() -> str | None:
    """Return the path of pgbench, if possible of the server's version."""
    beside = programs.postgres() / "pgbench"
    return str(beside) if beside.exists() else shutil.which("pgbench")


def script(first: Sequence[str], second: Sequence[str]) -> str:
    """Return pgbench's script of a request, from the statements that two requests sent.

    Ids, wallets and e-mail addresses that the two do not share become random ones. The rest need
    not be unique and stays as the first request sent it. Raise `WrongAnswer` if the two
    differ in more than their values.
    """
    if len(first) != len(second):
        raise WrongAnswer("Two creates sent different numbers of statements.")
    seen = {value: None for text in first for value in _values(text)}
    kept = {value for text in second for value in _values(text)}
    forms = {value: _form(value, f"v{n}") for n, value in enumerate(seen) if value not in kept}
    drawn = sorted(set(re.findall(r":(v\d+)([a-g])", " ".join(forms.values()))))
    draws = [
        f"\\set {name}{letter} random({10 ** (DIGITS[letter] - 1)}, {10 ** DIGITS[letter] - 1})"
        for name, letter in drawn
    ]
    # pgbench would read a line that begins with a backslash as its own command
    texts = [VALUE.sub(lambda m: forms.get(m[0], m[0]), " ".join(t.split("\n"))) for t in first]
    return "\n".join([*draws, *(f"{text};" for text in texts)]) + "\n"


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
    argv += ["-T", str(numbers["seconds"]), "--log", f"--log-prefix={prefix}"]
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
    return facts["token"], script(*facts["statements"])


def _values(text: str) -> list[str]:
    return [match[0] for match in VALUE.finditer(text)]


def _form(value: str, name: str) -> str:
    for kind, form in KINDS.items():
        if re.fullmatch(kind, value):
            return form.format(name)
    raise ValueError(value)
