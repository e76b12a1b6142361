"""The envelope of every success, and what every noun's answers share."""

from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import Input

EXAMPLE_REQUEST_ID = "eb766d15"


class Success(Schema):
    """The envelope of every success."""

    success = fields.Boolean(metadata={"description": "Always true.", "example": True})
    message = fields.String(metadata={"may_lack": True, "description": "A sentence for people."})
    request_id = fields.String(
        metadata={
            "description": "Identifies the request in the logs.",
            "example": EXAMPLE_REQUEST_ID,
        }
    )


class Done(Success):
    """The answer to a call that returns no object."""

    message = fields.String(metadata={"example": "Signed out"})


class Confirmation(Input):
    """What a confirm page sends: nothing but its button."""
