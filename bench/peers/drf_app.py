"""The create in Django REST framework, with psycopg 3, under gunicorn's threads.

Each request verifies a JWT, selects the session with its admin, spends two rate budgets, validates
the body and inserts client and audit row in one transaction.

It promises less than ours: audit rows have no MAC and no line in a file, no token is bound to the
issued header, connections are not checked before use, and there are no middleware, no idempotency
keys, no `RateLimit` header fields, no denied attempts in the audit trail and no request log.

Rate budgets are the framework's throttles on Django's Redis cache: each makes two Redis calls, and
two requests at the same moment may count as one.
"""

import os
import secrets
from collections.abc import Mapping
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import django
import jwt
from django.core.wsgi import get_wsgi_application
from django.db import IntegrityError, models, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from bench.peers.wallets import checksum_address

SECRET_KEY = os.environ["SECRET_KEY"]
TIERS = ("Basic", "Standard", "Premium", "Enterprise")

django.setup()  # before the first model


class Table(models.Model):
    """Base of the tables, which our migrations have created."""

    class Meta:
        abstract, app_label, managed = True, "peers", False


class Admin(Table):
    """A person who can sign in."""

    id = models.UUIDField(primary_key=True)
    email = models.TextField()
    role = models.TextField()
    is_disabled = models.BooleanField()
    token_version = models.IntegerField()

    class Meta(Table.Meta):
        db_table = "admins"

    is_authenticated = True


class Session(Table):
    """A sign-in of an admin."""

    id = models.UUIDField(primary_key=True)
    admin = models.ForeignKey(Admin, models.DO_NOTHING)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta(Table.Meta):
        db_table = "sessions"


class Client(Table):
    """A client."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.TextField()
    wallet_address = models.TextField()
    chain = models.TextField(default="evm")
    email = models.TextField(null=True)
    tier = models.TextField()
    status = models.TextField(default="active")
    notes = models.TextField()
    settings = models.JSONField(default=dict)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta(Table.Meta):
        db_table = "clients"


class AuditEvent(Table):
    """An audit event, here without a MAC."""

    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField(default=uuid4)
    at = models.DateTimeField(default=timezone.now)
    instance = models.TextField(default="drf")
    admin_id = models.UUIDField()
    actor = models.TextField()
    address = models.TextField(null=True)
    request_id = models.TextField()
    status = models.TextField(default="SUCCESS")
    event = models.TextField(default="client.created")
    client_id = models.UUIDField()
    http = models.IntegerField(default=201)
    details = models.JSONField()
    mac_key = models.TextField(default="none")
    mac = models.BinaryField(default=b"")

    class Meta(Table.Meta):
        db_table = "audit_events"


class JWTAuthentication(BaseAuthentication):
    """Bearer tokens of an open session."""

    def authenticate(self, request: Request) -> tuple[Admin, None]:
        """Return the admin of the bearer token, if the session is still open."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("Sign in first.")
        claims = read_claims(token)
        session = (
            Session.objects.select_related("admin")
            .filter(
                id=UUID(claims["sid"]),
                revoked_at=None,
                expires_at__gt=timezone.now(),
                admin_id=UUID(claims["sub"]),
                admin__token_version=claims["tv"],
                admin__is_disabled=False,
            )
            .first()
        )
        if session is None:
            raise AuthenticationFailed("This session has ended. Sign in again.")
        return session.admin, None

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge, without which a failure would be answered 403."""
        return "Bearer"


def read_claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a valid access token."""
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, SECRET_KEY, algorithms=["HS256"], audience="pipelabs-admin", issuer="pipelabs"
        )
    except jwt.PyJWTError:
        raise AuthenticationFailed("The token is not valid.") from None
    if claims["type"] != "access":
        raise AuthenticationFailed("The token is not valid.")
    return claims


class CanWriteClients(BasePermission):
    """Owners and operators create clients."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the admin's role has the permission."""
        return request.user.role in {"owner", "operator"}


class GeneralThrottle(UserRateThrottle):
    """The budget of all requests."""

    scope = "general"


class CreateThrottle(UserRateThrottle):
    """The budget of creates."""

    scope = "create"


class NewClient(serializers.Serializer):
    """The body that creates a client."""

    name = serializers.CharField(max_length=255)
    wallet_address = serializers.CharField()
    email = serializers.EmailField(max_length=254, allow_null=True, default=None)
    tier = serializers.ChoiceField(TIERS, default="Standard")
    notes = serializers.CharField(max_length=1000, allow_blank=True, default="")

    def validate_wallet_address(self, value: str) -> str:
        """Return the address in its canonical form."""
        try:
            return checksum_address(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def validate_email(self, value: str | None) -> str | None:
        """Return the address in lower case."""
        return value and value.lower()


class ClientOut(serializers.Serializer):
    """A client in the response to its creation."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    wallet_address = serializers.CharField()
    email = serializers.CharField(allow_null=True)
    tier = serializers.CharField()
    status = serializers.CharField()
    created_at = serializers.DateTimeField()


class AlreadyExists(APIException):
    """Another client has the wallet or the e-mail address."""

    status_code, default_detail = 409, "Client already exists"


class QuickClient(APIView):
    """The create."""

    authentication_classes = (JWTAuthentication,)
    permission_classes = (CanWriteClients,)
    throttle_classes = (GeneralThrottle, CreateThrottle)

    def post(self, request: Request) -> Response:
        """Create a client and its audit row."""
        begun = perf_counter()
        body = NewClient(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            client = insert_client(body.validated_data, request)
        except IntegrityError:
            raise AlreadyExists from None
        ms = round((perf_counter() - begun) * 1000, 1)
        answer = {
            "success": True,
            "message": "Client created successfully",
            "client": ClientOut(client).data,
            "metadata": {"created_by": request.user.email, "processing_time_ms": ms},
        }
        return Response(answer, status=201)


@transaction.atomic
def insert_client(data: Mapping[str, Any], request: Request) -> Client:
    """Insert a client and its audit row."""
    client = Client.objects.create(**data)
    AuditEvent.objects.create(
        admin_id=request.user.id,
        actor=request.user.email,
        address=request.META["REMOTE_ADDR"],
        request_id=secrets.token_hex(4),
        client_id=client.id,
        details={name: value for name, value in data.items() if value and name != "notes"},
    )
    return client


def health(_: HttpRequest) -> JsonResponse:
    """Report that the server is up."""
    return JsonResponse({"status": "ok"})


urlpatterns = [path("health", health), path("api/admin/quick-client", QuickClient.as_view())]
application = get_wsgi_application()
