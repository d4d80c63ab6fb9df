"""Signatures of model packages: sigstore's `model-signing` with a user's key.

The signature covers every file except itself and SHA256SUMS, which is written after it and
covers the signature too. Nothing here uses the network.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo_core.errors import ModelError
from mammo_core.packaging.checksums import SUMS
from mammo_core.packaging.contents import SIGNATURE

#: The private key itself (PEM), for instance from a Secret; or a file with it.
KEY, KEY_FILE = "MAMMO_SIGNING_KEY", "MAMMO_SIGNING_KEY_FILE"
#: Password of an encrypted key.
KEY_PASSWORD = "MAMMO_SIGNING_KEY_PASSWORD"


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
            ModelError: The file cannot be read.
        """
        password = environment.get(KEY_PASSWORD) or None
        if environment.get(KEY):
            return cls(environment[KEY].encode(), password)
        if not environment.get(KEY_FILE):
            return None
        return cls(_read(Path(environment[KEY_FILE]), f"signing key ({KEY_FILE})"), password)

    def public_id(self) -> str:
        """Return the SHA-256 (hex) of the public key's DER bytes.

        Raises:
            ModelError: It is not such a key, or the password is wrong.
        """
        from cryptography.hazmat.primitives import serialization

        try:
            secret = self.password.encode() if self.password else None
            private = serialization.load_pem_private_key(self.pem, secret)
        except (ValueError, TypeError) as error:  # its text may quote the key
            raise ModelError(
                "The signing key cannot be used",
                expected="a private elliptic-curve key as PEM, and its password if it has one",
                received="something else, or another password",
            ) from error
        return _key_id(private.public_key())


def sign(folder: Path, key: SigningKey) -> None:
    """Write the signature of a package; SHA256SUMS is written after it.

    Args:
        folder: Folder of the package.
        key: The private key.

    Raises:
        ModelError: The key cannot be used.
    """
    from model_signing import signing

    key.public_id()
    with _as_file(key.pem) as path:
        try:
            config = signing.Config()  # type: ignore[no-untyped-call]
            # model-signing passes the password to a function that takes bytes.
            secret = key.password.encode() if key.password else None
            config.use_elliptic_key_signer(private_key=path, password=secret)  # type: ignore[arg-type]
            config.set_hashing_config(_hashing(folder)).sign(folder, folder / SIGNATURE)
        except (ValueError, TypeError) as error:
            raise ModelError(
                "The package cannot be signed",
                expected="a private key of the curve P-256, P-384 or P-521",
                received="a key that model-signing refuses",
            ) from error


def verify_signature(folder: Path, public_key: Path) -> None:
    """Verify the signature of a package with a public key.

    Args:
        folder: Folder of the package.
        public_key: PEM file of the key it must be signed by; never from the package.

    Raises:
        ModelError: The package is unsigned, signed by another key, or was changed afterwards.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_public_key(_read(public_key, "public key"))
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"The public key {public_key} cannot be used",
            expected="an elliptic-curve public key as PEM",
            received="something else",
        ) from error
    if not (folder / SIGNATURE).is_file():
        raise ModelError(
            f"The model package {folder.name} is unsigned",
            expected=f"a signature by the key {_key_id(key)[:16]}",
            received=f"no {SIGNATURE}",
            hint="Set MAMMO_SIGNING_KEY_FILE when the package is built.",
        )
    from model_signing import verifying

    try:
        config = verifying.Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(_hashing(folder)).verify(folder, folder / SIGNATURE)
    # A damaged signature raises errors of many parsers: protobuf, JSON, cryptography.
    except Exception as error:
        raise ModelError(
            f"The signature of the model package {folder.name} is invalid",
            expected=f"every file as signed by the key {_key_id(key)[:16]} ({public_key})",
            received=(str(error).splitlines() or [type(error).__name__])[0][:300],
            hint="Do not use it; contact the publisher.",
        ) from error


def _hashing(folder: Path) -> Any:
    from model_signing import hashing

    # Set here instead of read from the signature, which must not decide what it omits.
    config = hashing.Config()  # type: ignore[no-untyped-call]
    return config.set_ignored_paths(
        paths=[folder / SIGNATURE, folder / SUMS], ignore_git_paths=False
    )


def _key_id(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def _read(path: Path, role: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"The {role} cannot be read",
            expected=f"the file {path}",
            received=error.strerror or type(error).__name__,
        ) from error


@contextmanager
def _as_file(secret: bytes) -> Iterator[Path]:
    """Yield a path to bytes that are never written to disk."""
    descriptor = os.memfd_create("signing-key")
    try:
        os.write(descriptor, secret)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
