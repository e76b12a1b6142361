"""The production application for gunicorn and the flask command."""

from config import ConfigError
from pipelabs import create_app
from pipelabs.core.keyring import MalformedRing

try:
    app = create_app("config.Production")
except MalformedRing as error:
    raise ConfigError(str(error)) from None
