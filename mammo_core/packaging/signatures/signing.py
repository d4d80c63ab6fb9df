"""Signatures of model packages: sigstore's `model-signing` with a user's key.

The signature covers every file except itself and SHA256SUMS, which is written after it and
covers the signature too. Nothing here uses the network.

`model-signing` signs, and its tool verifies what it signed. Here a signature is verified from the
digests in SHA256SUMS: every step reads the champion, and importing sigstore takes a second; the
files are hashed once; and older, laxer forms of signatures are not accepted.
"""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammo_core.documents import DocumentError, parse_json
from mammo_core.errors import ModelError
from mammo_core.packaging.contents import SIGNATURE
from mammo_core.packaging.signatures.checksums import SUMS
from mammo_core.packaging.signatures.keys import SigningKey
from mammo_core.packaging.signatures.trust import TrustedKey, TrustPolicy, unsigned_error

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_SERIALIZATION = {"allow_symlinks": False, "method": "files", "hash_type": "sha256"}
#: Bytes of a signature: a package has some twenty files.
_LARGEST = 2**20


def sign(folder: Path, key: SigningKey) -> None:
    """Write the signature of a package; SHA256SUMS is written after it.

    Args:
        folder: Folder of the package.
        key: The private key.

    Raises:
        ModelError: The key cannot be used.
    """
    from model_signing import hashing, signing

    key.public_id()
    folder = folder.absolute()
    hashed = hashing.Config()  # type: ignore[no-untyped-call]
    # Relative names: those in the signature are the same wherever it was made.
    hashed.set_ignored_paths(paths=[SIGNATURE, SUMS], ignore_git_paths=False)
    with _as_file(key.pem) as path:
        try:
            config = signing.Config()  # type: ignore[no-untyped-call]
            # model-signing passes the password to a function that takes bytes.
            secret = key.password.encode() if key.password else None
            config.use_elliptic_key_signer(private_key=path, password=secret)  # type: ignore[arg-type]
            config.set_hashing_config(hashed).sign(folder, folder / SIGNATURE)
        except (ValueError, TypeError) as error:
            raise ModelError(
                "The package cannot be signed",
                expected="a private key of the curve P-256, P-384 or P-521",
                received="a key that model-signing refuses",
            ) from error


def verify_signature(
    digests: Mapping[str, str], signature: bytes | None, trust: TrustPolicy, what: str
) -> TrustedKey:
    """Verify that a package was signed, with exactly these files, by a trusted key.

    Args:
        digests: SHA-256 (hex) of every file of the package except SHA256SUMS, by name.
        signature: Content of its `model.sig`; None if it has none.
        trust: The keys whose signatures are accepted.
        what: The package, in errors.

    Returns:
        The key that signed.

    Raises:
        ModelError: The package is unsigned, its signature is damaged or not by a trusted key, or
            files were changed, added or removed after it was signed.
    """
    key, signed = signed_digests(signature, trust, what)
    actual = {name: digest for name, digest in digests.items() if name != SIGNATURE}
    if actual != signed:
        faults = [f"{name} was added" for name in sorted(actual.keys() - signed.keys())]
        faults += [f"{name} was removed" for name in sorted(signed.keys() - actual.keys())]
        faults += [
            f"{name} was changed"
            for name in sorted(actual.keys() & signed.keys())
            if actual[name] != signed[name]
        ]
        raise _invalid_error(what, f"every file as signed by {key.name}", "; ".join(faults))
    return key


def signed_digests(
    signature: bytes | None, trust: TrustPolicy, what: str
) -> tuple[TrustedKey, dict[str, str]]:
    """Return who signed a package, and the SHA-256 (hex) of each signed file by name.

    Args:
        signature: Content of its `model.sig`; None if it has none.
        trust: The keys whose signatures are accepted.
        what: The package, in errors.

    Raises:
        ModelError: As in `verify_signature`, except that no file is looked at.
    """
    if signature is None:
        raise unsigned_error(what, trust)
    try:
        bundle = _parse(signature)
        envelope = bundle["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        (entry,) = envelope["signatures"]
        raw = base64.b64decode(entry["sig"], validate=True)
        hint = str(bundle["verificationMaterial"]["publicKey"]["hint"])
        known = bundle["mediaType"] == _BUNDLE and envelope["payloadType"] == _PAYLOAD
    except (DocumentError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged_error(what, error) from error
    if not known:
        raise _damaged_error(what, ValueError("another format"))
    key = _key_of(hint, trust, what)
    if not key.has_signed(_PAYLOAD, payload, raw):
        raise _invalid_error(what, f"a signature by {key.name}", "one that the key did not make")
    try:
        return key, _digests(_parse(payload))
    except (DocumentError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged_error(what, error) from error


def _key_of(hint: str, trust: TrustPolicy, what: str) -> TrustedKey:
    """The key that the signature names; its word counts for nothing until it is verified."""
    for key in trust.keys:
        if hashlib.sha256(key.pem.encode()).hexdigest() == hint:
            return trust.require(key.id, what)
    raise _invalid_error(what, f"one by {trust.names()}", "one by an unknown key")


def _digests(statement: dict[str, Any]) -> dict[str, str]:
    """The digests in a statement of `model-signing`, of the form that `sign` writes."""
    predicate = statement["predicate"]
    serialization = dict(predicate["serialization"])
    ignored = serialization.pop("ignore_paths", [])
    resources = predicate["resources"]
    digests = {str(item["name"]): str(item["digest"]) for item in resources}
    root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources))
    (subject,) = statement["subject"]
    if (
        statement["_type"] != _STATEMENT
        or statement["predicateType"] != _PREDICATE
        or serialization != _SERIALIZATION
        # What a signature leaves out is not for the signature to decide.
        or sorted(ignored) != sorted([SIGNATURE, SUMS])
        or any(item["algorithm"] != "sha256" for item in resources)
        or len(digests) != len(resources)
        or subject["digest"]["sha256"] != root.hexdigest()
    ):
        raise ValueError("a statement of another form")
    return digests


def _parse(data: bytes) -> dict[str, Any]:
    value = parse_json(data, max_bytes=_LARGEST)
    if not isinstance(value, dict):
        raise DocumentError("not a JSON object")
    return value


def _damaged_error(what: str, error: Exception) -> ModelError:
    received = error.received if isinstance(error, DocumentError) else str(error)
    return _invalid_error(
        what, "a signature as model-signing writes it", received[:200] or type(error).__name__
    )


def _invalid_error(what: str, expected: str, received: str) -> ModelError:
    return ModelError(
        f"The signature of {what} is invalid",
        expected=expected,
        received=received,
        hint="Do not use it; contact the publisher.",
    )


@contextmanager
def _as_file(secret: bytes) -> Iterator[Path]:
    """Yield a path to bytes that are never written to disk."""
    descriptor = os.memfd_create("signing-key")
    try:
        os.write(descriptor, secret)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
