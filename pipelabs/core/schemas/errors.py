"""The error envelope, as the OpenAPI document shows it."""

from typing import get_args

from marshmallow import Schema, fields

from pipelabs.core.errors import Code


class ErrorDetail(Schema):
    """Details of an error, for programs."""

    code = fields.String(
        metadata={
            "description": "Stable. Branch on this, not on the message.",
            "enum": list(get_args(Code)),
        }
    )
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
            "description": "Only with `duplicate`: field → id of the row that has the value.",
        },
    )
    permissions = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=fields.String(allow_none=True)),
        metadata={
            "may_lack": True,
            "description": "Only with `withdrawal_allowed`: permission → verdict and evidence.",
        },
    )


class ErrorResponse(Schema):
    """The envelope of every error."""

    success = fields.Boolean(metadata={"description": "Always false.", "example": False})
    message = fields.String(metadata={"description": "A sentence for a person."})
    request_id = fields.String(
        metadata={"description": "Also in the logs. Quote it when you report a problem."}
    )
    error = fields.Nested(ErrorDetail)
