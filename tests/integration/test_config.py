import pytest

import config
from config import ConfigError
from pipelabs import create_app


def test_an_application_is_not_made_of_settings_that_must_not_be_started_with(app):
    class Unset(config.Config):
        SECRET_KEY = ""

    with pytest.raises(ConfigError, match="SECRET_KEY is not set"):
        create_app(Unset)
