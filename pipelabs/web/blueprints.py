"""The kind of blueprint that the API is made of."""

from flask_smorest import Blueprint

from pipelabs.web.json import StrictParser


class StrictBlueprint(Blueprint):
    """flask-smorest's blueprint with the strict parser."""

    ARGUMENTS_PARSER = StrictParser()
