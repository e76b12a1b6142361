"""How much the desk quoted, day by day."""

from datetime import date, datetime

from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base


class QuotedDay(Base):
    """The number of clients' markets at the last count of a day, in UTC."""

    __tablename__ = "quoted_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    active: Mapped[int]
    paused: Mapped[int]
    counted_at: Mapped[datetime]
