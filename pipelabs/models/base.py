"""The declarative base: ids, times, constraint names, enums stored by value."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Dialect, Enum, LargeBinary, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pipelabs.models.envelopes import Envelope


def now() -> datetime:
    """Return the time in UTC, cut to milliseconds so that text and table agree."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class EnvelopeBytes(TypeDecorator[Envelope]):
    """An envelope in a column of bytes; loading it decrypts nothing."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Envelope | None, dialect: Dialect) -> bytes | None:
        """Return what is stored."""
        return value.blob if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> Envelope | None:
        """Return what was stored."""
        return Envelope(bytes(value)) if value is not None else None


class Base(DeclarativeBase):
    """What every table has in common."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # SQLAlchemy stores an enum's name unless told to take its value.
    type_annotation_map: ClassVar = {
        str: Text,
        datetime: DateTime(timezone=True),
        Envelope: EnvelopeBytes(),
        StrEnum: Enum(
            StrEnum,
            native_enum=False,
            create_constraint=True,
            length=16,
            values_callable=lambda choices: [choice.value for choice in choices],
        ),
    }


class Identified:
    """A row with a random id made by the application, and the time it was made."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(default=now)
