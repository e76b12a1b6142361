"""Schemas of a client's onboarding."""

from pipelabs.core.schemas.fields import Input, PlainText, Query
from pipelabs.core.schemas.pagination import SearchText

REASON_LENGTH = 500


class OnboardQuery(Query):
    """The search for a client to onboard."""

    q = SearchText(load_default="")


class OnboardingEndForm(Input):
    """Why the remaining steps are not needed."""

    reason = PlainText(
        required=True,
        min=1,
        max=REASON_LENGTH,
        metadata={
            "label": "Reason",
            "description": "Recorded in the audit trail with your name.",
        },
    )
