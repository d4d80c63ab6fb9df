"""The trust policy: whose signatures are accepted.

`MAMMO_TRUST` names a YAML file of public keys. Where it is set, every package that is opened and
every pointer to a champion must be signed by one of these keys.

    keys:
      - name: release 2026
        public_key: |
          -----BEGIN PUBLIC KEY-----
          …
        valid_from: 2026-01-01
        valid_until: 2027-03-31
      - name: release 2025
        public_key: …
        revoked: 2026-05-04
    champions:
      phantom: 7
"""

import base64
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mammo_core.documents import DocumentError, parse_yaml
from mammo_core.errors import ModelError
from mammo_core.packaging.signatures.keys import (
    KEY_FILE,
    SigningKey,
    is_signed_by,
    key_id,
    load_public_key,
    pem_of,
    read_key_file,
)

#: The file of the trust policy.
TRUST = "MAMMO_TRUST"
#: The marker of what nobody signed.
UNSIGNED = "unsigned"
_REPLACED = "MAMMO_PUBLIC_KEY"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrustedKey(_Strict):
    """A public key, and when it is accepted.

    The dates are compared with today's (UTC), never with a date in a package, which a thief of
    the key could choose.

    Attributes:
        name: Its name in messages.
        public_key: The key as PEM.
        valid_from: The first day on which its signatures are accepted; None: no limit.
        valid_until: The last such day; None: no limit.
        revoked: The day on which it was revoked: no signature of it is accepted, however old.
    """

    name: str = Field(min_length=1, max_length=100)
    public_key: str
    valid_from: date | None = None
    valid_until: date | None = None
    revoked: date | None = None

    @field_validator("public_key")
    @classmethod
    def _require_key(cls, value: str) -> str:
        try:
            load_public_key(value.encode(), "")
        except ModelError as error:
            raise ValueError(f"{error.received}, not {error.expected}") from None
        return value

    @model_validator(mode="after")
    def _require_order(self) -> "TrustedKey":
        if self.valid_from and self.valid_until and self.valid_from > self.valid_until:
            raise ValueError("valid_from is after valid_until")
        if self.revoked and self.revoked > _today():
            raise ValueError("revoked is in the future: say valid_until")
        return self

    @cached_property
    def key(self) -> Any:
        """The key, of `cryptography`."""
        return load_public_key(self.public_key.encode(), self.name)

    @property
    def id(self) -> str:
        """SHA-256 (hex) of its DER bytes."""
        return key_id(self.key)

    @property
    def pem(self) -> str:
        """The key as PEM, without text around it."""
        return pem_of(self.key)

    def obstacle(self) -> str:
        """Return why its signatures are not accepted today; empty if they are."""
        today = _today()
        if self.revoked:
            return f"revoked on {self.revoked}"
        if self.valid_from and today < self.valid_from:
            return f"valid from {self.valid_from}, and today is {today}"
        if self.valid_until and today > self.valid_until:
            return f"valid until {self.valid_until}, and today is {today}"
        return ""

    def has_signed(self, kind: str, content: bytes, signature: bytes) -> bool:
        """Whether a signature of some content is by this key; see `keys.is_signed_by`."""
        return is_signed_by(self.key, kind, content, signature)

    def has_signed_text(self, kind: str, content: bytes, signature: str) -> bool:
        """Whether a signature as `SigningKey.sign` returns it (base64) is by this key."""
        try:
            return self.has_signed(kind, content, base64.b64decode(signature, validate=True))
        except ValueError:
            return False


class TrustPolicy(_Strict):
    """The keys whose signatures are accepted.

    Attributes:
        keys: The keys; those that are no longer accepted may stay, for the messages.
        champions: Name of a model → the least sequence number of its champion's pointer: an
            older pointer is refused even if every newer one was removed from the store.
    """

    keys: tuple[TrustedKey, ...] = Field(min_length=1)
    champions: dict[str, int] = {}

    @model_validator(mode="after")
    def _require_unique(self) -> "TrustPolicy":
        for what, values in (
            ("name", [key.name for key in self.keys]),
            ("key", [key.id for key in self.keys]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"two keys have the same {what}")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "TrustPolicy | None":
        """Read the file that MAMMO_TRUST names.

        Returns:
            The policy; None if the variable is not set: signatures are then not checked.

        Raises:
            ModelError: The file is missing, empty or not such a policy.
        """
        if environment.get(_REPLACED):
            raise ModelError(
                f"{_REPLACED} is not a setting",
                expected=f"{TRUST}: a file of trusted keys (docs/packages.md)",
                received=_REPLACED,
            )
        return cls.read(Path(environment[TRUST])) if TRUST in environment else None

    @classmethod
    def read(cls, path: Path) -> "TrustPolicy":
        """Read a policy.

        Args:
            path: The file; an empty path is an error as well.

        Raises:
            ModelError: It is missing, empty or not such a policy.
        """
        name = "" if path == Path() else str(path)
        data = read_key_file(name, f"trust policy ({TRUST})")
        try:
            return cls.model_validate(parse_yaml(data.decode()) or {})
        except (DocumentError, UnicodeDecodeError) as error:
            received = str(error)
        except ValidationError as error:
            fault = error.errors()[0]
            received = f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
        raise ModelError(
            f"The trust policy {path} ({TRUST}) cannot be used",
            expected="YAML with `keys`: at least one, each with `name` and `public_key`, and "
            "perhaps `valid_from`, `valid_until`, `revoked` (docs/packages.md)",
            received=received if data.strip() else "an empty file",
        )

    def find(self, id: str) -> TrustedKey | None:
        """Return the key with an id, accepted or not; None if there is none."""
        return next((key for key in self.keys if key.id == id), None)

    def require(self, id: str, what: str) -> TrustedKey:
        """Return the key with an id, if its signatures are accepted today.

        Args:
            id: Id of the key that is said to have signed.
            what: What it signed, in errors.

        Raises:
            ModelError: Nobody signed, the key is unknown, revoked, or not valid today.
        """
        if id == UNSIGNED:
            raise unsigned_error(what, self)
        key = self.find(id)
        if key is None:
            raise ModelError(
                f"The signature of {what} is not accepted",
                expected=f"one by {self.names()}",
                received=f"one by an unknown key, {id[:16]}",
                hint="Do not use it; contact the publisher.",
            )
        if key.obstacle():
            raise ModelError(
                f"The signature of {what} is not accepted",
                expected=f"one by {self.names()}",
                received=f"one by {key.name} ({id[:16]}), {key.obstacle()}",
                hint="`mammo models push` signs a package again, as a new version.",
            )
        return key

    def names(self) -> str:
        """Return the keys whose signatures are accepted today, for messages."""
        names = [f"{key.name} ({key.id[:16]})" for key in self.keys if not key.obstacle()]
        return " or ".join(names) or "a key that is valid today: the policy has none"


def policy_with(public_key: Path | None) -> TrustPolicy | None:
    """Return the policy of MAMMO_TRUST, narrowed to a public key if one is given.

    Args:
        public_key: PEM file of the key that must have signed, from a trusted source; never from
            the package. None: any key of the policy.

    Returns:
        The policy; None if there is neither a policy nor a key.

    Raises:
        ModelError: The key or the policy cannot be read, or the key is not in the policy.
    """
    policy = TrustPolicy.from_environment()
    if public_key is None:
        return policy
    pem = read_key_file(public_key, "public key")
    id = key_id(load_public_key(pem, str(public_key)))
    if policy is None:
        return TrustPolicy(keys=(TrustedKey(name=public_key.name, public_key=pem.decode()),))
    key = policy.require(id, f"anything signed with {public_key}")
    return policy.model_copy(update={"keys": (key,)})


def signing_key() -> SigningKey | None:
    """Return the key to sign with, or None where signing is not configured.

    Raises:
        ModelError: MAMMO_TRUST is set, but there is no signing key or its signatures would not
            be accepted; or the key cannot be used.
    """
    policy, key = TrustPolicy.from_environment(), SigningKey.from_environment()
    if policy is None:
        return key
    if key is None:
        raise ModelError(
            "Nothing can be signed, so nothing can be published",
            expected=f"a signing key ({KEY_FILE}), because {TRUST} is set: its public part is "
            f"{policy.names()}",
            received="none",
        )
    trusted = policy.find(key.public_id())
    if trusted is None or trusted.obstacle():
        raise ModelError(
            f"The signatures of the signing key would not be accepted ({TRUST})",
            expected=f"the key {policy.names()}",
            received=f"{trusted.name}, {trusted.obstacle()}"
            if trusted is not None
            else f"the key {key.public_id()[:16]}, which is not in the policy",
        )
    return key


def unsigned_error(what: str, policy: TrustPolicy) -> ModelError:
    """Return the error of something that must be signed and is not."""
    return ModelError(
        f"{what[0].upper()}{what[1:]} is unsigned",
        expected=f"a signature by {policy.names()}",
        received="none",
        hint=f"`mammo models push` signs a package with {KEY_FILE}.",
    )


def _today() -> date:
    return datetime.now(UTC).date()
