"""The settings of gunicorn. The environment can override the figures that name a variable."""

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
# A slow client occupies only a thread, so there are more threads than cores.
threads = Config.THREADS
# Heartbeat files in memory, because a slow disk would look like a dead worker.
worker_tmp_dir = next(filter(os.path.isdir, ["/dev/shm"]), None)  # noqa: S108 - gunicorn makes its own file there
# Workers share the memory of what the master has loaded. They share no connections: the engine
# and the Redis client connect at the first request.
preload_app = True

timeout = 30
# Together with DRAIN_S, an instance ends at most 25 s after SIGTERM.
graceful_timeout = 25 - Config.DRAIN_S
keepalive = 5
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
# The application decides which proxies to trust, by TRUSTED_PROXIES.
forwarded_allow_ips = ""
# Since gunicorn 25 a socket in the home folder, which a second instance would take over.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Reject several workers with limits in memory, even if the command line asks for them."""
    if refusal := memory_limits(Config.RATELIMIT_STORAGE_URI, server.cfg.workers):
        raise ConfigError(refusal)


def when_ready(server: Any) -> None:
    """Delay SIGTERM until balancers have seen `/ready` fail, and share what was loaded."""
    shutdown.on_term(lambda: server.signal(signal.SIGTERM, None), Config.DRAIN_S)
    # Frozen objects are never collected, so no worker copies the pages they are on.
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Keep PostgreSQL to its time, and look after the audit file at the start and each minute."""
    postgres_timeout.keep()
    every_minute.start(worker.wsgi)
