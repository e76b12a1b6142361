"""The create in FastAPI, with SQLAlchemy's asyncio extension and asyncpg, under uvicorn.

Each request verifies a JWT, selects the session with its admin, spends two rate budgets, validates
the body and inserts client and audit row in one transaction.

It promises less than ours: audit rows have no MAC and no line in a file, no token is bound to the
issued header, connections are not checked before use, and there are no idempotency keys, no
`RateLimit` header fields, no denied attempts in the audit trail and no request log.

Rate budgets are the moving window of `limits`, whose asyncio storage makes one Redis call for each.
"""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from time import perf_counter
from typing import Annotated, Any, NamedTuple
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field
from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.peers.wallets import checksum_address

SECRET_KEY = os.environ["SECRET_KEY"]
GENERAL, CREATE = parse(os.environ["RATELIMIT_GENERAL"]), parse(os.environ["RATELIMIT_CREATE"])

app = FastAPI()
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=16,
    max_overflow=2,
)
new_session = async_sessionmaker(engine, expire_on_commit=False)
limiter = MovingWindowRateLimiter(RedisStorage(os.environ["REDIS_URL"], implementation="redispy"))
bearer = HTTPBearer()


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


class Tier(StrEnum):
    """Service tier of a client."""

    BASIC = "Basic"
    STANDARD = "Standard"
    PREMIUM = "Premium"
    ENTERPRISE = "Enterprise"


class Base(DeclarativeBase):
    """Base of the tables, which our migrations have created."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's documented form
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
    }


class Admin(Base):
    """A person who can sign in."""

    __tablename__ = "admins"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    role: Mapped[str]
    is_disabled: Mapped[bool]
    token_version: Mapped[int]


class Session(Base):
    """A sign-in of an admin."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    admin_id: Mapped[UUID] = mapped_column(ForeignKey("admins.id"))
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Client(Base):
    """A client."""

    __tablename__ = "clients"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    wallet_address: Mapped[str]
    chain: Mapped[str] = mapped_column(default="evm")
    email: Mapped[str | None]
    tier: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    notes: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class AuditEvent(Base):
    """An audit event, here without a MAC."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    uid: Mapped[UUID] = mapped_column(default=uuid4)
    at: Mapped[datetime] = mapped_column(default=now)
    instance: Mapped[str] = mapped_column(default="fastapi")
    admin_id: Mapped[UUID]
    actor: Mapped[str]
    address: Mapped[str | None]
    request_id: Mapped[str]
    status: Mapped[str] = mapped_column(default="SUCCESS")
    event: Mapped[str] = mapped_column(default="client.created")
    client_id: Mapped[UUID]
    http: Mapped[int] = mapped_column(default=201)
    details: Mapped[dict[str, Any]]
    mac_key: Mapped[str] = mapped_column(default="none")
    mac: Mapped[bytes] = mapped_column(default=b"")


class NewClient(BaseModel):
    """The body that creates a client."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=255)
    wallet_address: Annotated[str, AfterValidator(checksum_address)]
    email: Annotated[EmailStr, AfterValidator(str.lower)] | None = None
    tier: Tier = Tier.STANDARD
    notes: str = Field("", max_length=1000)


class ClientOut(BaseModel):
    """A client in the response to its creation."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    wallet_address: str
    email: str | None
    tier: Tier
    status: str
    created_at: datetime


class Metadata(BaseModel):
    """The creator, and the time that the creation took."""

    created_by: str
    processing_time_ms: float


class ClientCreated(BaseModel):
    """A new client."""

    success: bool = True
    message: str = "Client created successfully"
    client: ClientOut
    metadata: Metadata


class Caller(NamedTuple):
    """The admin who makes the request."""

    id: UUID
    email: str
    role: str


async def started() -> float:
    """Return when the request began."""
    return perf_counter()


async def get_session() -> AsyncIterator[AsyncSession]:
    """Open a session that ends with the request."""
    async with new_session() as session:
        yield session


SessionOfRequest = Annotated[AsyncSession, Depends(get_session)]


async def get_caller(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
    session: SessionOfRequest,
) -> Caller:
    """Return the admin of the bearer token, if the session is still open."""
    claims = read_claims(credentials.credentials)
    statement = (
        select(Admin.id, Admin.email, Admin.role)
        .join(Session, Session.admin_id == Admin.id)
        .where(
            Session.id == UUID(claims["sid"]),
            Session.revoked_at.is_(None),
            Session.expires_at > now(),
            Admin.id == UUID(claims["sub"]),
            Admin.token_version == claims["tv"],
            Admin.is_disabled.is_(False),
        )
    )
    if row := (await session.execute(statement)).one_or_none():
        return Caller(row.id, row.email, row.role)
    raise HTTPException(401, "This session has ended. Sign in again.")


def read_claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a valid access token."""
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, SECRET_KEY, algorithms=["HS256"], audience="pipelabs-admin", issuer="pipelabs"
        )
    except jwt.PyJWTError:
        raise HTTPException(401, "The token is not valid.") from None
    if claims["type"] != "access":
        raise HTTPException(401, "The token is not valid.")
    return claims


async def spend_budgets(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
    """Spend one of each budget, and return the caller."""
    for name, limit in (("general", GENERAL), ("create", CREATE)):
        if not await limiter.hit(limit, "fastapi", name, str(caller.id)):
            raise HTTPException(429, "Too many requests.")
    if caller.role not in {"owner", "operator"}:
        raise HTTPException(403, "Your role lacks the permission clients.write.")
    return caller


@app.get("/health")
async def health() -> Mapping[str, str]:
    """Report that the server is up."""
    return {"status": "ok"}


@app.post("/api/admin/quick-client", status_code=201)
async def create_client(
    begun: Annotated[float, Depends(started)],
    caller: Annotated[Caller, Depends(spend_budgets)],
    session: SessionOfRequest,
    body: NewClient,
    request: Request,
) -> ClientCreated:
    """Create a client and its audit row."""
    client = Client(id=uuid4(), **body.model_dump())
    facts = body.model_dump(mode="json", exclude={"notes"}, exclude_none=True)
    session.add(client)
    session.add(
        AuditEvent(
            admin_id=caller.id,
            actor=caller.email,
            address=request.client.host if request.client else None,
            request_id=secrets.token_hex(4),
            client_id=client.id,
            details=facts,
        )
    )
    try:
        await session.commit()
    except IntegrityError:
        raise HTTPException(409, "Client already exists") from None
    ms = round((perf_counter() - begun) * 1000, 1)
    return ClientCreated(
        client=ClientOut.model_validate(client),
        metadata=Metadata(created_by=caller.email, processing_time_ms=ms),
    )
