"""The kind of blueprint that the API is made of."""

from collections.abc import Callable
from typing import Any

from flask_smorest import Blueprint
from marshmallow import Schema

from pipelabs.web.json import StrictParser


class StrictBlueprint(Blueprint):
    """flask-smorest's blueprint with the strict parser."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[..., Any]:
        """Decorate a view with what its body must be; the schema is built once, not a request."""
        decorator: Callable[..., Any] = super().arguments(schema(), **options)
        return decorator
