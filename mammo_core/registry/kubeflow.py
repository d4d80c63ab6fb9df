"""Registration of pushed versions in a Kubeflow Model Registry, if one is configured.

It uses the REST API (v1alpha3): a registered model, a version of it, and the package as the
artifact of the version. Each is looked up before it is created, so a version is registered only
once.
"""

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from mammo_core.documents import parse_json
from mammo_core.errors import StoreError
from mammo_core.packaging.contents import PackageManifest
from mammo_core.store.certificates import tls_context

#: Address of the registry, such as http://model-registry-service.kubeflow:8080.
ENDPOINT: Final = "MAMMO_MODEL_REGISTRY"
#: A bearer token, if the registry requires one.
TOKEN: Final = "MAMMO_MODEL_REGISTRY_TOKEN"
_API: Final = "/api/model_registry/v1alpha3"
_TIMEOUT_S: Final = 30.0
_RESPONSE_BYTES: Final = 2**22


class _BusyError(Exception):
    """The server did not respond, or is busy."""


class ModelRegistry:
    """A Kubeflow Model Registry.

    Args:
        endpoint: `http://host:port` or `https://host`.
        token: Bearer token, or empty. Never printed.
    """

    def __init__(self, endpoint: str, token: str = "") -> None:
        parts = urllib.parse.urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise StoreError(
                f"The model registry ({ENDPOINT}) cannot be used",
                expected="http://host:port or https://host, without credentials",
                received="another address",
            )
        self._base, self._token = endpoint.rstrip("/") + _API, token

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ
    ) -> "ModelRegistry | None":
        """Return the registry of MAMMO_MODEL_REGISTRY; None if it is not set.

        Raises:
            StoreError: The address cannot be used.
        """
        endpoint = environment.get(ENDPOINT)
        return cls(endpoint, environment.get(TOKEN, "")) if endpoint else None

    def register(
        self, name: str, version: int, uri: str, manifest: PackageManifest, signed_by: str
    ) -> dict[str, str]:
        """Register a pushed version.

        Args:
            name: Name of the model.
            version: Version in our own registry.
            uri: URI of the package.
            manifest: Manifest of the package.
            signed_by: Id of the key that signed the version, or `unsigned`.

        Returns:
            Ids of the registered model, the version and the artifact.

        Raises:
            StoreError: The registry cannot be reached, or rejects a request.
        """
        model = self._find_or_create(
            "/registered_model",
            {"name": name},
            "/registered_models",
            {"name": name, "description": "Mammo Pipelines. Research use only."},
        )
        query = {"name": str(version), "parentResourceId": model}
        number = self._find_or_create(
            "/model_version",
            query,
            "/model_versions",
            {
                "name": str(version),
                "registeredModelId": model,
                "author": "mammo-pipelines",
                "customProperties": {
                    key: {"metadataType": "MetadataStringValue", "string_value": value}
                    for key, value in (
                        ("model_id", manifest.model_id),
                        ("signed_by", signed_by),
                    )
                },
            },
        )
        artifact = self._find_or_create(
            "/model_artifact",
            {"name": f"{name}-{version}", "parentResourceId": number},
            f"/model_versions/{urllib.parse.quote(number)}/artifacts",
            {
                "artifactType": "model-artifact",
                "name": f"{name}-{version}",
                "uri": uri,
                "modelFormatName": "mammo-pipelines",
                "modelFormatVersion": str(manifest.format),
            },
        )
        return {"registered_model": model, "model_version": number, "artifact": artifact}

    def _find_or_create(
        self, search: str, query: Mapping[str, str], collection: str, body: Mapping[str, Any]
    ) -> str:
        resource = self._call("GET", f"{search}?{urllib.parse.urlencode(query)}")
        if resource is None:
            resource = self._call("POST", collection, body)
        if resource is None or not str(resource.get("id", "")):
            raise self._error(collection, "a response without an id")
        return str(resource["id"])

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Send a request, with retries; None for 404."""
        try:
            return Retrying(
                stop=stop_after_attempt(4),
                wait=wait_exponential_jitter(initial=0.2, max=3),
                retry=retry_if_exception_type(_BusyError),
                reraise=True,
            )(self._send, method, path, body)
        except _BusyError as error:
            raise self._error(path, str(error)) from error

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> dict[str, Any] | None:
        headers = {"accept": "application/json", "content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(
                request, timeout=_TIMEOUT_S, context=tls_context()
            ) as response:
                content = parse_json(response.read(_RESPONSE_BYTES))
        except urllib.error.HTTPError as error:
            if error.code == 404 and method == "GET":
                return None
            if error.code in (429, 500, 502, 503, 504):
                raise _BusyError(f"status {error.code}") from error
            raise self._error(path, f"status {error.code}") from error
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise self._error(path, f"a certificate that is not trusted: {reason}") from error
            raise _BusyError(type(error).__name__) from error
        except ValueError as error:
            raise self._error(path, "a response that is not JSON") from error
        if not isinstance(content, dict):
            raise self._error(path, "a response that is not a JSON object")
        return content

    def _error(self, path: str, received: str) -> StoreError:
        return StoreError(
            f"The model registry at {self._base} did not register the version",
            expected=f"a Kubeflow Model Registry that serves {path.partition('?')[0]}",
            received=received,
            hint="The version itself is published; run the same pipeline again to register it.",
        )
