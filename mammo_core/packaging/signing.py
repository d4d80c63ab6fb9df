"""Signatures of model packages: sigstore's `model-signing`, with a key of your own.

The signature covers every file but itself and SHA256SUMS, which is written after it and
covers both. Nothing here asks the network.
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

#: The private key itself (PEM), as a Secret gives it; or the file that holds it.
KEY, KEY_FILE = "MAMMO_SIGNING_KEY", "MAMMO_SIGNING_KEY_FILE"
#: What the key is encrypted with, if it is.
KEY_PASSWORD = "MAMMO_SIGNING_KEY_PASSWORD"


@dataclass(frozen=True)
class SigningKey:
    """A private elliptic-curve key (P-256, P-384 or P-521), PEM.

    Attributes:
        pem: Never printed.
        password: Of an encrypted key; never printed.
    """

    pem: bytes = field(repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "SigningKey | None":
        """Read MAMMO_SIGNING_KEY, or the file that MAMMO_SIGNING_KEY_FILE names.

        Returns:
            The key; None when neither is set: packages are then unsigned, and say so.

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
            ModelError: It is no such key, or the password is wrong.
        """
        from cryptography.hazmat.primitives import serialization

        try:
            secret = self.password.encode() if self.password else None
            private = serialization.load_pem_private_key(self.pem, secret)
        except (ValueError, TypeError) as error:  # without its text: it may quote the key
            raise ModelError(
                "The signing key cannot be used",
                expected="a private elliptic-curve key as PEM, and its password if it has one",
                received="another thing, or another password",
            ) from error
        return _key_id(private.public_key())


def sign(folder: Path, key: SigningKey) -> None:
    """Write the signature of a package; SHA256SUMS is written after it.

    Args:
        folder: Of the package.
        key: The private key.

    Raises:
        ModelError: The key cannot be used.
    """
    from model_signing import signing

    key.public_id()
    with _as_file(key.pem) as path:
        try:
            config = signing.Config()  # type: ignore[no-untyped-call]
            # model-signing hands the password on to where bytes are wanted.
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
    """Check a package's signature against a public key.

    Args:
        folder: Of the package.
        public_key: PEM file of the key it must be signed by; never one from the package.

    Raises:
        ModelError: The package is unsigned, signed by another key, or not what was signed.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        wanted = serialization.load_pem_public_key(_read(public_key, "public key"))
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"The public key {public_key} cannot be used",
            expected="an elliptic-curve public key as PEM",
            received="another thing",
        ) from error
    if not (folder / SIGNATURE).is_file():
        raise ModelError(
            f"The model package {folder.name} is unsigned",
            expected=f"a signature by the key {_key_id(wanted)[:16]}",
            received=f"no {SIGNATURE}",
            hint="Sign it when it is built, with a key in MAMMO_SIGNING_KEY_FILE",
        )
    from model_signing import verifying

    try:
        config = verifying.Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(_hashing(folder)).verify(folder, folder / SIGNATURE)
    # A damaged signature raises what its parsers raise: protobuf, JSON, cryptography.
    except Exception as error:
        raise ModelError(
            f"The signature of the model package {folder.name} does not hold",
            expected=f"every file as signed by the key {_key_id(wanted)[:16]} ({public_key})",
            received=(str(error).splitlines() or [type(error).__name__])[0][:300],
            hint="Do not use it: ask whoever published it.",
        ) from error


def _hashing(folder: Path) -> Any:
    from model_signing import hashing

    # Given, not taken from the signature: what it leaves out is ours to say.
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


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"The {what} cannot be read",
            expected=f"the file {path}",
            received=error.strerror or type(error).__name__,
        ) from error


@contextmanager
def _as_file(secret: bytes) -> Iterator[Path]:
    """Give a path to bytes that never reach a disk."""
    descriptor = os.memfd_create("signing-key")
    try:
        os.write(descriptor, secret)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
