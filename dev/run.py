"""`make run`: servers, settings, migrations, the first owner, and gunicorn, until Ctrl-C."""

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import mirakuru

from dev import gunicorn, places, postgres, processes, redis, settings
from dev.errors import CannotStart, Stopped
from dev.processes import HOST, Server, Supervisor
from dev.settings import Settings
from tests.stub_exchange import Scenario, credentials

WELCOME = """
Pipe Labs is running at {address}. Press Ctrl-C to stop it.

  Console    {address}/admin
  E-mail     {email}
  Password   {password}
{hints}
Create a client (the token is valid for 15 minutes):

curl -X POST "{address}/api/admin/quick-client" \
-H "Content-Type: application/json" -H "Authorization: Bearer {token}" -d '{client}'
"""
DEMO = "  Demo data  {count} clients (DEMO=0: do not load demo data)\n"
STUB = (
    "  Exchanges  simulated by a local stub (STUB=0: use the real ones)\n"
    "  Test keys  .venv/bin/python -m tests.stub_exchange --keys okx\n"
    "  Engine     .venv/bin/python -m dev.quoter (README.md: how to enrol it)\n"
)
SIGN_IN = """
Pipe Labs is running at {address}. Press Ctrl-C to stop it.
The password of {email} was changed. Sign in at {address}/admin.
"""
NO_REDIS = (
    "Redis was not found: starting one worker, which counts rate limits in memory. "
    "`apt install redis-server` or `brew install redis` changes that."
)
OUTLIVED = (
    "On this system the servers keep running if make run is killed with kill -9. "
    "The next start stops them."
)
WORKER = [sys.executable, "-m", "flask", "--app", "wsgi", "jobs", "work"]
PORT_TIMEOUT_S = 3
"""A gunicorn whose launcher was killed needs a moment to stop."""


def main() -> int:
    """Serve until a signal and return 0; raise `CannotStart` if the service ends otherwise."""
    local = places.local_folder()
    with suppress(Stopped), processes.supervisor() as supervisor:
        supervisor.stack.enter_context(places.locked(local / "lock", places.RUNNING))
        _serve(supervisor, places.data_folder())
    with suppress(OSError):  # the terminal may be closed
        print("\nStopped.")
    return 0


def _serve(supervisor: Supervisor, folder: Path) -> None:
    loaded = settings.load(places.ROOT / ".env")
    loaded.check()
    _wait_for_port(loaded.port)
    if not processes.DIES_WITH_PARENT:
        print(OUTLIVED)
    variables = _start_servers(supervisor, folder, loaded)
    environment = os.environ | variables
    email, password = variables["FIRST_OWNER_EMAIL"], variables["FIRST_OWNER_PASSWORD"]
    words = [email, "demo"] if loaded.has_demo else [email]
    try:
        count = _prepare(environment, words, password)
    except CannotStart as error:
        raise CannotStart(f"Migrating or seeding failed.\n{loaded.explain(str(error))}") from None
    server = gunicorn.server(environment, loaded.port)
    try:
        supervisor.start(server)
    except mirakuru.ExecutorError:
        raise CannotStart("gunicorn did not start. Its output is above.") from None
    hints = (DEMO.format(count=count) if count else "") + (STUB if loaded.has_stub else "")
    token = _sign_in(loaded.port, email, password)
    if token and count and loaded.has_stub:
        _add_demo_key(loaded.port, token)
    _welcome(loaded.port, email, password, token, hints)
    worker = supervisor.start_program(WORKER, environment)
    ended = supervisor.wait(server, worker)
    name = "gunicorn" if ended is server else "The worker of background jobs"
    raise CannotStart(f"{name} ended with status {processes.status_of(ended)}.")


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PORT_TIMEOUT_S
    while not processes.is_free(port):
        if time.monotonic() > deadline:
            sentence = "Stop the program that uses it, or set PORT to another one."
            raise CannotStart(f"Port {port} is in use. {sentence}")
        time.sleep(0.1)


def _start_servers(supervisor: Supervisor, folder: Path, loaded: Settings) -> dict[str, str]:
    """Start the servers that a person has not named, and return the service's variables."""
    started: dict[str, str] = {}
    if "DATABASE_URL" not in loaded.given:
        print("Starting PostgreSQL …", flush=True)
        service, owner = postgres.start(supervisor, folder, durable=True)
        started |= {"DATABASE_URL": service, "DATABASE_MIGRATION_URL": owner}
    if "REDIS_URL" not in loaded.given and (url := redis.start(supervisor, folder, durable=True)):
        started["REDIS_URL"] = url
    # the first owner is alone, and can approve machines and grants
    variables = {"LOG_FORMAT": "text", "SINGLE_OWNER_APPROVALS": "1", **loaded.finish(started)}
    # no load balancer has to notice that this instance stops
    variables |= {"HOST": HOST, "PORT": str(loaded.port), "DRAIN_S": "0", "ENVIRONMENT": "local"}
    if not variables.get("REDIS_URL"):
        print(NO_REDIS)
        variables["WEB_CONCURRENCY"] = "1"
    # a killed make run has left it, and the quoter must not send a real key there
    places.STUB_ADDRESS.unlink(missing_ok=True)
    if loaded.has_stub:
        variables["EXCHANGE_BASE_URL"] = _start_stub(supervisor, folder)
    return variables


def _start_stub(supervisor: Supervisor, folder: Path) -> str:
    """Start the stub that simulates every exchange, and return its address."""

    def create(port: int, log: int) -> Server:
        argv = [sys.executable, "-m", "tests.stub_exchange", "--port", str(port)]
        return Server(argv, port, lambda: not processes.is_free(port), os.environ, stdout=log)

    address = f"http://{HOST}:{supervisor.start_on_free_port('stub_exchange', folder, create)}"
    supervisor.stack.callback(places.STUB_ADDRESS.unlink, missing_ok=True)
    places.STUB_ADDRESS.write_text(address)
    return address


def _prepare(environment: Mapping[str, str], words: Sequence[str], password: str) -> int:
    """Migrate and seed; return how many demo clients were created."""
    print("Migrating, and creating the first owner …", flush=True)
    output = processes.run([sys.executable, "-m", "dev.prepare", *words], environment, password)
    created = re.search(r"^(\d+) clients created", output, re.MULTILINE)
    return int(created[1]) if created else 0


def _sign_in(port: int, email: str, password: str) -> str:
    """Return a token of the first owner, or nothing if the password was changed."""
    body = {"email": email, "password": password}
    status, answer = gunicorn.call(port, "POST", "/api/auth/login", body)
    return str(json.loads(answer)["access_token"]) if status == 200 else ""


def _add_demo_key(port: int, token: str) -> None:
    """Give a demo client a key that the stub verifies, for `dev.quoter`."""
    path = "/api/admin/clients?status=active&size=1"
    status, answer = gunicorn.call(port, "GET", path, token=token)
    for client in json.loads(answer)["data"] if status == 200 else []:
        body = {"client_id": client["id"], "exchange": "okx", "label": "quoter"}
        body |= credentials("okx", Scenario.QUOTER)
        gunicorn.call(port, "POST", "/api/admin/api-keys", body, token)


def _welcome(port: int, email: str, password: str, token: str, hints: str) -> None:
    """Print how to sign in and how to create a client."""
    shown = {"address": f"http://{HOST}:{port}", "email": email, "password": password}
    if not token:
        print(SIGN_IN.format(**shown), flush=True)
        return
    shown |= {"token": token, "client": json.dumps(new_client())}
    print(WELCOME.format(hints=hints, **shown), flush=True)


def new_client() -> dict[str, str]:
    """Return a client that does not exist yet, so that its creation succeeds at every start."""
    wallet = secrets.token_hex(20)
    return {
        "name": "Client Name",
        "wallet_address": f"0x{wallet}",
        "email": f"client-{wallet[:8]}@example.com",
        "tier": "Premium",
        "notes": "High volume trader",
    }


if __name__ == "__main__":
    sys.exit(main())
