"""How gunicorn serves Pipe Labs; every figure can be set by the variable beside it."""

import gc
import os
import signal
from typing import Any

from config import Config, ConfigError, memory_limits
from pipelabs.core import postgres_timeout, shutdown
from pipelabs.jobs import every_minute

bind = f"{os.environ.get('HOST') or '127.0.0.1'}:{os.environ.get('PORT') or '8000'}"
workers = Config.WORKERS
worker_class = "gthread"
# A slow client holds a thread and nothing else, so there are more of them than cores.
threads = Config.THREADS
# Where the heartbeat files are: in memory, because a slow disk would look like a dead worker.
worker_tmp_dir = next(filter(os.path.isdir, ["/dev/shm"]), None)  # noqa: S108 - gunicorn makes its own file there
# Workers share the pages of what the master has loaded. It opens no connection that they would
# share too: the engine and the Redis client connect at the first request.
preload_app = True

timeout = 30
# With the seconds of draining before it, an instance is gone 25 s after SIGTERM.
graceful_timeout = 25 - Config.DRAIN_S
keepalive = 5
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
# Only a proxy that TRUSTED_PROXIES counts is believed, and that is decided in the application.
forwarded_allow_ips = ""
# From gunicorn 25 on, a socket in the home folder that a second instance would take over.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Refuse workers that would each count limits of their own, however they were asked for."""
    if refusal := memory_limits(Config.RATELIMIT_STORAGE_URI, server.cfg.workers):
        raise ConfigError(refusal)


def when_ready(server: Any) -> None:
    """Delay SIGTERM until balancers have seen `/ready` fail, and share what was loaded."""
    shutdown.install_sigterm_handler(lambda: server.signal(signal.SIGTERM, None), Config.DRAIN_S)
    # Frozen objects are never collected, so no worker copies the pages they are on.
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Keep PostgreSQL to its time, and look after the audit file at the start and each minute."""
    postgres_timeout.install()
    every_minute.start(worker.wsgi)
