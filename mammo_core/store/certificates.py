"""The authorities whose certificates are trusted: one setting for every client.

`MAMMO_CA_BUNDLE` names a PEM file. With it the clients of the object store, Kubeflow Pipelines, the
model registry and the online store trust these authorities instead of the system's.
"""

import os
import ssl
from collections.abc import Mapping

from mammo_core.errors import StoreError

#: A PEM file with one or more certificates of authorities.
CA_BUNDLE = "MAMMO_CA_BUNDLE"


def ca_bundle(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the file of trusted authorities; None: the system's are trusted.

    Raises:
        StoreError: The file is missing, or has no certificate.
    """
    path = environment.get(CA_BUNDLE)
    if not path:
        return None
    require_certificates(path, CA_BUNDLE)
    return path


def tls_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return the TLS settings of a client that trusts these authorities.

    Raises:
        StoreError: As in `ca_bundle`.
    """
    return ssl.create_default_context(cafile=ca_bundle(environment))


def require_certificates(path: str, setting: str) -> None:
    """Require that a file holds certificates.

    Args:
        path: The file.
        setting: What names it, in errors.

    Raises:
        StoreError: It cannot be read, or has no certificate.
    """
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one: the file has no certificate
        missing = not isinstance(error, ssl.SSLError)
        raise StoreError(
            f"The trusted authorities ({setting}) cannot be read",
            expected="a PEM file with certificates",
            received=f"{path}: "
            + ((error.strerror or type(error).__name__) if missing else "none in it"),
        ) from error
