"""The settings of gunicorn. The environment can override the figures that name a variable."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"
MEMORY = next(filter(os.path.isdir, ["/dev/shm"]), None)  # noqa: S108 - a file of our own is made there


def share_metrics() -> str | None:
    """Prepare the folder in which the workers share their metrics, if anybody can read them.

    prometheus_client looks for it when it is imported. Return the folder if it is this master's
    own. When this file is loaded again, the folder is in use.
    """
    given = os.environ.get(MULTIPROC, "").strip()
    if "prometheus_client" in sys.modules or not (given or os.environ.get("METRICS_TOKEN")):
        return None
    if not given:
        os.environ[MULTIPROC] = tempfile.mkdtemp(prefix="pipelabs-metrics-", dir=MEMORY)
        return os.environ[MULTIPROC]
    Path(given).mkdir(parents=True, exist_ok=True)
    # During an upgrade by SIGUSR2 the workers of the old master still write to it.
    if "GUNICORN_PID" not in os.environ:
        for file in Path(given).glob("*.db"):
            file.unlink()
    return None


own_metrics = share_metrics()

from config import Config, ConfigError, memory_limits
from pipelabs.core import connections, metrics, shutdown
from pipelabs.jobs import audit_file
from pipelabs.jobs import worker as jobs
from pipelabs.web import metrics as instance_metrics
from pipelabs.web.worker import MAX_BODY

host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
bind = f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}"
workers = Config.WORKERS
worker_class = "pipelabs.web.worker.ReceivingWorker"
# A slow call occupies only a thread, so there are more threads than cores.
threads = Config.THREADS
# Heartbeat files in memory, because a slow disk would look like a dead worker.
worker_tmp_dir = MEMORY
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
# Of this master's workers, the one that has its lock runs the background jobs.
jobs_lock = Path(tempfile.gettempdir(), f"pipelabs-jobs-{os.getpid()}.lock")


def on_starting(server: Any) -> None:
    """Reject several workers with limits in memory, even if the command line asks for them."""
    if refusal := memory_limits(Config.RATELIMIT_STORAGE_URI, server.cfg.workers):
        raise ConfigError(refusal)


def when_ready(server: Any) -> None:
    """Install the graceful shutdown, and freeze loaded objects so that workers share them."""
    shutdown.install_sigterm_handler(lambda: server.signal(signal.SIGTERM, None), Config.DRAIN_S)
    # The garbage collector skips frozen objects, so their pages are never copied.
    gc.freeze()


def pre_request(_worker: Any, request: Any) -> None:
    """Close the connection after its next response if it can't be used for another one.

    While the instance is stopping, a proxy would keep it, and send a request into the moment in
    which the worker ends. The rest of a body that is too large is not read.
    """
    lengths = [value for name, value in request.headers if name == "CONTENT-LENGTH"]
    if shutdown.is_shutting_down() or any(int(length) > MAX_BODY for length in lengths):
        request.force_close()


def post_worker_init(worker: Any) -> None:
    """Install the PostgreSQL timeout, and start what the process does in the background."""
    connections.install_timeout()
    audit_file.start(worker.wsgi)
    if Config.JOBS == "web":
        jobs.work_in_one_process(worker.wsgi, jobs_lock)
    instance_metrics.start_sampling(worker.wsgi)


def worker_exit(_server: Any, _worker: Any) -> None:
    """Count the last requests of a worker."""
    metrics.flush()


def child_exit(_server: Any, worker: Any) -> None:
    """Keep what an ended worker has counted, and forget what it was doing."""
    if folder := os.environ.get(MULTIPROC):
        metrics.forget_process(worker.pid, folder)


def on_exit(_server: Any) -> None:
    """Delete the folder of the metrics, unless the setting names another one."""
    if own_metrics:
        shutil.rmtree(own_metrics, ignore_errors=True)
