"""TLS by a certificate and its key."""

import ssl
from pathlib import Path

from mammo_core.errors import RecipeError


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server: version 1.2 or later.

    Args:
        certificate: PEM file of the certificate and its chain.
        key: PEM file of its private key, not encrypted.

    Raises:
        RecipeError: A file cannot be read, or the key does not belong to the certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise RecipeError(
            f"{certificate} and {key} cannot be used for TLS",
            expected="PEM files of a certificate and of its private key, not encrypted",
            received=getattr(error, "reason", None)
            or getattr(error, "strerror", None)
            or "neither",
        ) from error
    return context


def _refuse_password() -> str:
    """Keep OpenSSL from asking at the terminal."""
    raise ValueError("the key is encrypted")


def tls_from_files(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the TLS settings for two options; None without them.

    Args:
        certificate: PEM file of the certificate and its chain.
        key: PEM file of its private key.

    Raises:
        RecipeError: One of them is missing, or they cannot be used.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise RecipeError(
            "TLS needs two files",
            expected="--tls-certificate and --tls-key",
            received="one of them",
        )
    return load_tls(certificate, key)
