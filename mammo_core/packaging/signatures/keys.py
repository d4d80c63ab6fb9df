"""Elliptic-curve keys: the private key that signs, and public keys.

A signature is ECDSA with the SHA-2 of the curve's size, over the pre-authentication encoding of
DSSE (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md): the kind of what is
signed is part of it, so a signature of one kind is never valid for another.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mammo_core.errors import ModelError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

#: The private key itself (PEM), for instance from a Secret; or a file with it.
KEY, KEY_FILE = "MAMMO_SIGNING_KEY", "MAMMO_SIGNING_KEY_FILE"
#: Password of an encrypted key.
KEY_PASSWORD = "MAMMO_SIGNING_KEY_PASSWORD"
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True)
class SigningKey:
    """A private elliptic-curve key (P-256, P-384 or P-521), PEM.

    Attributes:
        pem: The key; never printed.
        password: Password of an encrypted key; never printed.
    """

    pem: bytes = field(repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "SigningKey | None":
        """Read MAMMO_SIGNING_KEY, or the file that MAMMO_SIGNING_KEY_FILE names.

        Returns:
            The key; None if neither is set: packages are then unsigned, and say so.

        Raises:
            ModelError: It is empty, the file cannot be read, it is not such a key, or the
                password is wrong.
        """
        if KEY in environment:
            name, pem = KEY, environment[KEY].encode()
        elif KEY_FILE in environment:
            name = KEY_FILE
            pem = read_key_file(environment[KEY_FILE], f"signing key ({KEY_FILE})")
        else:
            return None
        if not pem.strip():
            raise ModelError(
                f"The signing key ({name}) is empty",
                expected="a private elliptic-curve key as PEM, or no such variable",
                received="nothing",
            )
        key = cls(pem, environment.get(KEY_PASSWORD) or None)
        key.public_id()
        return key

    def public_id(self) -> str:
        """Return the id of the public key: see `key_id`.

        Raises:
            ModelError: It is not such a key, or the password is wrong.
        """
        return key_id(self._private_key().public_key())

    def public_pem(self) -> str:
        """Return the public key as PEM."""
        return pem_of(self._private_key().public_key())

    def sign(self, kind: str, content: bytes) -> str:
        """Return the signature of some content (base64).

        Args:
            kind: The kind of the content, as a media type.
            content: What is signed.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        private = self._private_key()
        signature = private.sign(_encoding(kind, content), ec.ECDSA(_hash(private.curve.name)))
        return base64.b64encode(signature).decode()

    def _private_key(self) -> "ec.EllipticCurvePrivateKey":
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            secret = self.password.encode() if self.password else None
            private = serialization.load_pem_private_key(self.pem, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # its text may quote the key
            private = None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in _CURVES:
            raise ModelError(
                "The signing key cannot be used",
                expected="a private elliptic-curve key (P-256, P-384 or P-521) as PEM, and its "
                "password if it has one",
                received="something else, or another password",
            )
        return private


def load_public_key(pem: bytes, name: str) -> "ec.EllipticCurvePublicKey":
    """Return a public key.

    Args:
        pem: The key as PEM.
        name: Its name in errors.

    Raises:
        ModelError: It is not a public elliptic-curve key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise ModelError(
            f"The public key {name} cannot be used",
            expected="an elliptic-curve public key (P-256, P-384 or P-521) as PEM",
            received="something else" if pem.strip() else "an empty file",
        )
    return key


def key_id(key: "ec.EllipticCurvePublicKey") -> str:
    """Return the id of a public key: the SHA-256 (hex) of its DER bytes."""
    from cryptography.hazmat.primitives import serialization

    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def pem_of(key: "ec.EllipticCurvePublicKey") -> str:
    """Return a public key as PEM."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def is_signed_by(
    key: "ec.EllipticCurvePublicKey", kind: str, content: bytes, signature: bytes
) -> bool:
    """Whether a signature of some content is by a key.

    Args:
        key: The public key.
        kind: The kind of the content, as a media type.
        content: What was signed.
        signature: The signature (DER).
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key.verify(signature, _encoding(kind, content), ec.ECDSA(_hash(key.curve.name)))
    except InvalidSignature:
        return False
    return True


def read_key_file(path: str | Path, role: str) -> bytes:
    """Return the content of a file with a key.

    Args:
        path: The file.
        role: What it is, in errors.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"The {role} cannot be read",
            expected=f"the file {path}" if str(path) else "the name of a file",
            received=(error.strerror or type(error).__name__) if str(path) else "an empty name",
        ) from error


def _encoding(kind: str, content: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(kind)} {kind} {len(content)} ".encode() + content


def _hash(curve: str) -> "HashAlgorithm":
    from cryptography.hazmat.primitives import hashes

    if curve == "secp256r1":
        return hashes.SHA256()
    return hashes.SHA384() if curve == "secp384r1" else hashes.SHA512()
