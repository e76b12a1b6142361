import pytest

import config
from config import ConfigError
from pipelabs import create_app


def test_create_app_rejects_invalid_settings(app):
    class Unset(config.Config):
        SECRET_KEY = ""

    with pytest.raises(ConfigError, match="SECRET_KEY is not set"):
        create_app(Unset)
