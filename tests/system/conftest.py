"""Tests with gunicorn instances. They need the servers that `make test` starts."""

from tests import servers

servers.require()
