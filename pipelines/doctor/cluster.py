"""The Kubernetes API as the doctor asks it: paths and JSON objects."""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.connection import ClusterError

_TIMEOUT_S = 15


class Cluster:
    """The Kubernetes API of the kubeconfig, or of the pod this runs in.

    Raises:
        ClusterError: There is no kubeconfig.
    """

    def __init__(self) -> None:
        from kubernetes import client, config

        # Not `load_config`: it reads KUBECONFIG once a process, and prints.
        file = Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
        try:
            if "KUBECONFIG" in os.environ or file.exists():
                config.load_kube_config(config_file=str(file))
            else:
                config.load_incluster_config()
        except (config.ConfigException, OSError) as error:
            raise ClusterError(
                "The cluster cannot be looked at",
                expected="a kubeconfig (KUBECONFIG), or a pod with an account",
                received="neither",
            ) from error
        configuration = client.Configuration.get_default_copy()
        configuration.retries = 1
        self._client = client.ApiClient(configuration)

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request and return the answer.

        Raises:
            ApiException: The API answers with an error.
        """
        answer = self._client.call_api(
            path,
            method,
            body=body,
            header_params={"Accept": "*/*", "Content-Type": "application/json"},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=_TIMEOUT_S,
        )
        return bytes(answer.data)

    def get(self, path: str) -> dict[str, Any]:
        """Return the object at a path."""
        return dict(json.loads(self.request("GET", path)))

    def find(self, path: str) -> dict[str, Any] | None:
        """Return the object at a path; None where there is none."""
        from kubernetes.client.exceptions import ApiException

        try:
            return self.get(path)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def secret(self, name: str, namespace: str) -> dict[str, str] | None:
        """Return the values of a Secret; None where there is none."""
        item = self.find(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        if item is None:
            return None
        data = item.get("data") or {}
        return {
            key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()
        }

    def config_map(self, name: str, namespace: str) -> dict[str, str] | None:
        """Return the values of a ConfigMap; None where there is none."""
        item = self.find(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        return None if item is None else dict(item.get("data") or {})

    def may(self, account: str, namespace: str, verb: str, resource: str, group: str = "") -> bool:
        """Return whether a service account of a namespace may do something there."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{namespace}:{account}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"],
                "resourceAttributes": {
                    "namespace": namespace,
                    "verb": verb,
                    "group": group,
                    "resource": resource,
                },
            },
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = json.loads(self.request("POST", path, review))
        return bool(answer["status"]["allowed"])


@dataclass(frozen=True)
class Target:
    """What is checked.

    Attributes:
        cluster: Its Kubernetes API.
        namespace: Where runs are.
        account: The service account of their pods.
        image: Container image of the data steps.
        train_image: Container image of the training steps; empty: not looked at.
        signed: Whether models must be signed.
        gpus: GPUs that a step asks for.
        wait_s: How long the pod that looks from inside may take (seconds).
    """

    cluster: Cluster
    namespace: str
    account: str
    image: str
    train_image: str
    signed: bool
    gpus: int
    wait_s: float
