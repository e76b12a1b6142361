"""The success envelope, and the schemas that answers share."""

from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import Input

EXAMPLE_REQUEST_ID = "eb766d15"


class Success(Schema):
    """The envelope of every success."""

    success = fields.Boolean(metadata={"description": "Always true.", "example": True})
    message = fields.String(metadata={"may_lack": True, "description": "A sentence for people."})
    request_id = fields.String(
        metadata={
            "description": "Also in the logs. Quote it when you report a problem.",
            "example": EXAMPLE_REQUEST_ID,
        }
    )


class Done(Success):
    """The response to a call that returns no object."""

    message = fields.String(metadata={"example": "Signed out"})


class Confirmation(Input):
    """The form of a confirm page, which has no field."""
