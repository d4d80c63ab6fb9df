"""Registration of pushed versions in a Kubeflow Model Registry, where one is configured.

By its REST API (v1alpha3), which is all this needs: a registered model, a version of it, and
the package as the version's artifact. Each is looked for before it is made, so registering
twice is registering once.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from mammo_core.errors import StoreError
from mammo_core.packaging.contents import PackageManifest

#: Address of the registry, such as http://model-registry-service.kubeflow:8080.
ENDPOINT: Final = "MAMMO_MODEL_REGISTRY"
#: A bearer token, where the registry asks for one.
TOKEN: Final = "MAMMO_MODEL_REGISTRY_TOKEN"
_API: Final = "/api/model_registry/v1alpha3"
_ANSWER_S: Final = 30.0


class _BusyError(Exception):
    """The server did not answer, or not now."""


class ModelRegistry:
    """A Kubeflow Model Registry.

    Args:
        endpoint: `http://host:port` or `https://host`.
        token: Bearer token; empty for none. Never printed.
    """

    def __init__(self, endpoint: str, token: str = "") -> None:
        parts = urllib.parse.urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise StoreError(
                f"The model registry ({ENDPOINT}) cannot be used",
                expected="http://host:port or https://host, credentials elsewhere",
                received="another address",
            )
        self._base, self._token = endpoint.rstrip("/") + _API, token

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ
    ) -> "ModelRegistry | None":
        """Return the registry of MAMMO_MODEL_REGISTRY; None when there is none.

        Raises:
            StoreError: The address cannot be used.
        """
        endpoint = environment.get(ENDPOINT)
        return cls(endpoint, environment.get(TOKEN, "")) if endpoint else None

    def register(
        self, name: str, version: int, uri: str, manifest: PackageManifest
    ) -> dict[str, str]:
        """Register a pushed version.

        Args:
            name: Of the model.
            version: In our own registry.
            uri: Where the package lies.
            manifest: Of the package.

        Returns:
            Ids of the registered model, the version and the artifact.

        Raises:
            StoreError: The registry cannot be reached, or refuses.
        """
        model = self._found_or_made(
            "/registered_model",
            {"name": name},
            "/registered_models",
            {"name": name, "description": "Mammo Pipelines. Research use only."},
        )
        named = {"name": str(version), "parentResourceId": model}
        number = self._found_or_made(
            "/model_version",
            named,
            "/model_versions",
            {
                "name": str(version),
                "registeredModelId": model,
                "author": "mammo-pipelines",
                "customProperties": {
                    key: {"metadataType": "MetadataStringValue", "string_value": value}
                    for key, value in (
                        ("model_id", manifest.model_id),
                        ("signed_by", manifest.signed_by),
                    )
                },
            },
        )
        artifact = self._found_or_made(
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

    def _found_or_made(
        self, look: str, query: Mapping[str, str], make: str, body: Mapping[str, Any]
    ) -> str:
        asked = f"{look}?{urllib.parse.urlencode(query)}"
        found = self._call("GET", asked)
        if found is None:
            found = self._call("POST", make, body)
        if found is None or not str(found.get("id", "")):
            raise self._fault(make, "an answer without an id")
        return str(found["id"])

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Ask the registry; None for 404."""
        try:
            return Retrying(
                stop=stop_after_attempt(4),
                wait=wait_exponential_jitter(initial=0.2, max=3),
                retry=retry_if_exception_type(_BusyError),
                reraise=True,
            )(self._once, method, path, body)
        except _BusyError as error:
            raise self._fault(path, str(error)) from error

    def _once(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> dict[str, Any] | None:
        headers = {"accept": "application/json", "content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404 and method == "GET":
                return None
            if error.code in (429, 500, 502, 503, 504):
                raise _BusyError(f"status {error.code}") from error
            raise self._fault(path, f"status {error.code}") from error
        except (OSError, TimeoutError) as error:
            raise _BusyError(type(error).__name__) from error
        except ValueError as error:
            raise self._fault(path, "no JSON") from error
        if not isinstance(found, dict):
            raise self._fault(path, "no JSON object")
        return found

    def _fault(self, path: str, received: str) -> StoreError:
        return StoreError(
            f"The model registry at {self._base} did not take the version",
            expected=f"a Kubeflow Model Registry that answers {path.partition('?')[0]}",
            received=received,
            hint="The version itself is published; the same run again registers it.",
        )
