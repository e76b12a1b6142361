"""The manifest of a backup: what a restored database has to be."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from marshmallow import fields, post_load, validate

from pipelabs.audit import trail
from pipelabs.backup.errors import BackupError
from pipelabs.core.schemas.fields import Body
from pipelabs.models import Proof

FORMAT = 1
LABEL = b"pipelabs/backup/v1\0"
"""What keeps its MAC apart from those of audit rows, whose keys it uses."""
MAX_BYTES = 1024 * 1024
SUFFIX = ".json"
HEX_256 = validate.Regexp("[0-9a-f]{64}\\Z")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was backed up. It has no secret: versions name keys of the ring, and never are keys.

    `rows` has the number of rows by table. `audit_id` and `audit_mac` are those of the newest audit
    row, or None. `audit_keys` are the versions of the keys that signed audit rows.
    """

    created_at: str
    release: str
    revision: str
    server: str
    bytes: int
    sha256: str
    rows: Mapping[str, int]
    audit_id: int | None
    audit_mac: str | None
    key_ring_versions: list[int]
    audit_keys: list[str]
    mac_key: str = ""
    mac: str = ""
    format: int = FORMAT

    def as_json(self) -> str:
        """Return the manifest as text for people and for `read`."""
        return f"{json.dumps(asdict(self), indent=2)}\n"


class ManifestSchema(Body):
    """A manifest in JSON. Loads as a `Manifest`."""

    format = fields.Integer(required=True, strict=True, validate=validate.Equal(FORMAT))
    created_at = fields.String(required=True)
    release = fields.String(required=True)
    revision = fields.String(required=True)
    server = fields.String(required=True)
    bytes = fields.Integer(required=True, strict=True)
    sha256 = fields.String(required=True, validate=HEX_256)
    rows = fields.Dict(fields.String(), fields.Integer(strict=True), required=True)
    audit_id = fields.Integer(required=True, strict=True, allow_none=True)
    audit_mac = fields.String(required=True, allow_none=True, validate=HEX_256)
    key_ring_versions = fields.List(fields.Integer(strict=True), required=True)
    audit_keys = fields.List(fields.String(), required=True)
    mac_key = fields.String(required=True)
    mac = fields.String(required=True, validate=HEX_256)

    @post_load
    def to_manifest(self, data: Mapping[str, Any], **_: object) -> Manifest:
        """Return the manifest."""
        return Manifest(**data)


def path_of(dump: Path) -> Path:
    """Return where the manifest of a dump is: beside it."""
    return dump.with_name(f"{dump.name}{SUFFIX}")


def read(dump: Path) -> Manifest:
    """Return the manifest of a dump. Raise `BackupError` if it is missing or malformed."""
    path = path_of(dump)
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise BackupError(f"{path} can't be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise BackupError(f"{path} is not a manifest of flask ops backup.") from None
    if errors := ManifestSchema().validate(document):
        names = ", ".join(sorted(map(str, errors)))
        raise BackupError(f"{path} is not a manifest of this release. Invalid: {names}.")
    manifest: Manifest = ManifestSchema().load(document)
    return manifest


def sign(values: Mapping[str, Any]) -> Manifest:
    """Return the manifest with a MAC by the key that signs audit rows now."""
    key = trail.get_keys()[0]
    unsigned = Manifest(**values, mac_key=key.version)
    return Manifest(**values, mac_key=key.version, mac=_compute_mac(unsigned, key.secret))


def check(manifest: Manifest) -> Proof:
    """Return whether this installation has written the manifest as it is."""
    secret = trail.get_secrets().get(manifest.mac_key)
    if secret is None:
        return Proof.UNKNOWN
    is_valid = hmac.compare_digest(_compute_mac(manifest, secret), manifest.mac)
    return Proof.VALID if is_valid else Proof.ALTERED


def _compute_mac(manifest: Manifest, secret: bytes) -> str:
    values = {name: value for name, value in asdict(manifest).items() if name != "mac"}
    message = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(secret, LABEL + message, hashlib.sha256).hexdigest()
