"""Which S3 server is used, with which credentials and connections."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3

from mammo_core.errors import StoreError
from mammo_core.store.certificates import ca_bundle

if TYPE_CHECKING:
    from minio import Minio

#: How long a connection and an answer may take (seconds).
CONNECT_S, ANSWER_S = 4.0, 60.0

# It logs every retry, with the whole request.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


@dataclass(frozen=True)
class S3Settings:
    """Address and credentials of the server.

    Attributes:
        endpoint: `http://host:port` or `https://host`.
        access_key: Never printed.
        secret_key: Never printed.
        region: Region that requests are signed for.
        ca_bundle: PEM file of trusted authorities; None: the system's.
    """

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    ca_bundle: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "S3Settings":
        """Read MAMMO_S3_ENDPOINT, …_ACCESS_KEY, …_SECRET_KEY, …_REGION, or the AWS names.

        MAMMO_CA_BUNDLE names the authorities that a server with TLS is verified by.

        Raises:
            StoreError: One is missing, or cannot be used; its name is in the message.
        """

        def find(name: str, *aliases: str, default: str | None = None) -> str:
            for alias in (name, *aliases):
                if environment.get(alias):
                    return environment[alias]
            if default is not None:
                return default
            raise StoreError(
                "The S3 store cannot be opened",
                expected=f"{name} (or {' or '.join(aliases)}) in the environment",
                received="none",
                hint="credentials come from the environment or a Kubernetes Secret only",
            )

        return cls(
            endpoint=find("MAMMO_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
            access_key=find("MAMMO_S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            secret_key=find("MAMMO_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
            region=find("MAMMO_S3_REGION", "AWS_REGION", default="us-east-1"),
            ca_bundle=ca_bundle(environment),
        )


def minio_client(settings: S3Settings, repeats: int = 3) -> "Minio":
    """Return a client of the server; nothing is sent yet.

    Args:
        settings: Server and credentials.
        repeats: How often a failed request is repeated by its connection.

    Raises:
        StoreError: The endpoint is not an HTTP address.
    """
    from mammo_core.store.s3_clock import ClockedMinio

    parts = urlsplit(settings.endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise StoreError(
            "The S3 endpoint cannot be used",
            expected="http://host:port or https://host",
            # Not repeated: it may hold a password.
            received="credentials in it" if "@" in parts.netloc else repr(settings.endpoint),
        )
    return ClockedMinio(
        parts.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        region=settings.region,
        secure=parts.scheme == "https",
        http_client=_http_pool(repeats, settings.ca_bundle),
    )


def _http_pool(repeats: int, authorities: str | None) -> urllib3.PoolManager:
    """Return a pool of connections that retries each request by itself first.

    If one part of a large file fails, that part is sent again and not the whole file.
    """
    return urllib3.PoolManager(
        ca_certs=authorities,
        timeout=urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S),
        retries=urllib3.Retry(
            total=repeats,
            connect=0,
            redirect=False,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=None,
            backoff_factor=0.2,
            backoff_jitter=0.2,
            raise_on_status=False,
        ),
        maxsize=32,
    )
