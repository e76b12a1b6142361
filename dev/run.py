"""`make run`: servers, settings, migrations, the first owner, and gunicorn, until Ctrl-C."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dev import gunicorn, postgres, redis, settings
from dev.errors import CannotStart, Stopped
from dev.gunicorn import ROOT
from dev.launcher import Launcher
from dev.listening import HOST, is_free, serve
from dev.processes import Program
from dev.settings import Settings

CLIENT = {
    "name": "Client Name",
    # all its letters are upper case under EIP-55, whose own example it is
    "wallet_address": "0x52908400098527886E0F7030069857D2E4169EE7",
    "email": "email@example.com",
    "tier": "Premium",
    "notes": "High volume trader",
}
WELCOME = """
Pipe Labs is ready at {address} (Ctrl-C stops it).

  e-mail    {email}
  password  {password}
  console   {address}/admin
{hints}
Create a client:

curl -X POST "{address}/api/admin/quick-client" \
-H "Content-Type: application/json" -H "Authorization: Bearer {token}" -d '{client}'
"""
DEMO = "  clients   {count} demo clients (DEMO=0 for none)\n"
STUB = "  exchanges a stub stands for all of them (STUB=0: the real ones); keys for it: {keys}\n"
KEYS = "python -m tests.stub_exchange --keys okx"
CHANGED = (
    "\nPipe Labs is ready at {address} (Ctrl-C stops it). {email} has another password by now."
)


def main() -> int:
    """Serve until a signal; return 0 then, and raise `CannotStart` if it ends otherwise."""
    folder = ROOT / ".local"
    folder.mkdir(exist_ok=True)
    # root's PostgreSQL runs as somebody who has to get to its data in there
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    found = settings.load(ROOT / ".env")
    try:
        with Launcher(folder) as launcher:
            _run(launcher, folder, found)
    except Stopped:
        with suppress(OSError):  # the terminal may be gone
            print("\nStopped.")
    return 0


def _run(launcher: Launcher, folder: Path, found: Settings) -> None:
    if not is_free(found.port):
        raise CannotStart(f"Port {found.port} is taken: stop what listens there, or set PORT.")
    words = ["demo"] if found.has_demo else []
    variables = found.finish(_start_servers(launcher, folder, found))
    # No balancer has to notice that this instance stops.
    variables |= {"HOST": HOST, "PORT": str(found.port), "DRAIN_S": "0", "ENVIRONMENT": "local"}
    if not variables.get("REDIS_URL"):
        print("No Redis: one worker, limits in its memory (apt or brew can install Redis).")
        variables["WEB_CONCURRENCY"] = "1"
    if found.has_stub:
        variables["EXCHANGE_BASE_URL"] = _start_stub(launcher, folder)
    environment = os.environ | variables
    email, password = (variables[f"FIRST_OWNER_{part}"] for part in ("EMAIL", "PASSWORD"))
    count = _prepare(launcher, environment, [email, *words], password)
    serving = gunicorn.start(launcher, environment)
    if not gunicorn.is_ready(serving, found.port):
        raise CannotStart("gunicorn does not answer; what it said is above.")
    _welcome(found.port, email, password, _hints(count, has_stub=found.has_stub))
    status = launcher.wait(serving)
    raise CannotStart(f"gunicorn ended with status {status}.")


def _start_servers(launcher: Launcher, folder: Path, found: Settings) -> dict[str, str]:
    """Start those whose address nobody has set, and return the addresses."""
    started: dict[str, str | None] = {}
    if "DATABASE_URL" not in found.given:
        print("Starting PostgreSQL …", flush=True)
        service, owner = postgres.start(launcher, folder, durable=True)
        started |= {"DATABASE_URL": service, "DATABASE_MIGRATION_URL": owner}
    if "REDIS_URL" not in found.given:
        started["REDIS_URL"] = redis.start(launcher, folder, durable=True)
    return {name: url for name, url in started.items() if url}


def _start_stub(launcher: Launcher, folder: Path) -> str:
    """Let a stub stand for every exchange, and return its address."""
    words = [sys.executable, "-m", "tests.stub_exchange", "--port"]

    def program(port: int, log: int) -> Program:
        return Program([*words, str(port)], cwd=ROOT, output=log)

    port = serve(launcher, "stub_exchange", folder, program, lambda port: not is_free(port))
    return f"http://{HOST}:{port}"


def _prepare(
    launcher: Launcher, environment: Mapping[str, str], words: Sequence[str], password: str
) -> int:
    """Migrate and seed, and return how many demo clients that made; show the rest if it fails."""
    print("Migrating, and seeding the first owner …", flush=True)
    argv = [sys.executable, "-m", "dev.prepare", *words]
    status, text = launcher.run(Program(argv, env=environment, cwd=ROOT, given=password))
    if status:
        raise CannotStart(f"Migrating or seeding failed:\n{text}")
    seeded = re.search(r"^(\d+) clients created", text, re.MULTILINE)
    return int(seeded[1]) if seeded else 0


def _hints(count: int, *, has_stub: bool) -> str:
    """Return what to say of new demo clients, and of what answers for the exchanges."""
    stub = STUB.format(keys=f".venv/bin/{KEYS}") if has_stub else ""
    return (DEMO.format(count=count) if count else "") + stub


def _welcome(port: int, email: str, password: str, hints: str) -> None:
    """Sign the first owner in, and show how to create a client."""
    address = f"http://{HOST}:{port}"
    body = {"email": email, "password": password}
    status, answer = gunicorn.call(port, "POST", "/api/auth/login", body)
    if status != 200:
        print(CHANGED.format(address=address, email=email), flush=True)
        return
    token = json.loads(answer)["access_token"]
    shown = {"email": email, "password": password, "token": token, "client": json.dumps(CLIENT)}
    print(WELCOME.format(address=address, hints=hints, **shown), flush=True)


if __name__ == "__main__":
    sys.exit(main())
