"""What gunicorn and the flask command serve: the production application."""

from config import ConfigError
from pipelabs import create_app
from pipelabs.crypto import MalformedRing

try:
    app = create_app("config.Production")
except (ConfigError, MalformedRing) as error:
    # A sentence for the operator in place of a traceback.
    raise SystemExit(f"Pipe Labs cannot start.\n{error}") from None
