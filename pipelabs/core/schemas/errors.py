"""The one shape of every error, as the document of the API shows it."""

from marshmallow import Schema, fields


class ErrorDetail(Schema):
    """What went wrong, for programs."""

    code = fields.String(metadata={"description": "Stable; decide by it, not by the message."})
    fields_ = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        data_key="fields",
        metadata={"description": "Every wrong field, with sentences for a person."},
    )
    existing = fields.Dict(
        keys=fields.String(),
        values=fields.UUID(),
        metadata={
            "may_lack": True,
            "description": "With `duplicate` alone: field → id of the row that has the value.",
        },
    )
    permissions = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=fields.String(allow_none=True)),
        metadata={
            "may_lack": True,
            "description": "With `withdrawal_allowed` alone: right → verdict and evidence.",
        },
    )


class Refused(Schema):
    """The envelope of every error."""

    success = fields.Boolean(metadata={"description": "Always false.", "example": False})
    message = fields.String(metadata={"description": "A sentence for a person."})
    request_id = fields.String(metadata={"description": "Stands in the log; quote it."})
    error = fields.Nested(ErrorDetail)
