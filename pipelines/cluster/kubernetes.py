"""What Kubernetes knows of a run: its Workflow, its pods, why they wait, their logs.

Pods and Workflows carry the id of the run as a label, in whatever namespace they are. Without a
kubeconfig, or where the API does not answer, there is only what KFP says.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.connection import ClusterError

#: Where KFP for one user runs pipelines.
DEFAULT_NAMESPACE = "kubeflow"
_KUBECONFIG = "~/.kube/config"
_NODE_NAME = "workflows.argoproj.io/node-name"
_TIMEOUT_S = 10
#: How long an API that did not answer is left alone (seconds).
_REST_S = 60.0
_TAIL = 400


@dataclass(frozen=True)
class Snapshot:
    """What Kubernetes knows of a run at one time.

    Attributes:
        workflow: Its Workflow; None where there is none.
        pods: Its pods.
        sure: Whether the answer would hold a Workflow if there were one.
    """

    workflow: dict[str, Any] | None = None
    pods: list[dict[str, Any]] = field(default_factory=list)
    sure: bool = False


class Kubernetes:
    """The part of the Kubernetes API that runs need.

    Args:
        namespaces: Namespaces to look in where all of them may not be listed.

    Attributes:
        problem: Why nothing can be read; empty where it can.
    """

    def __init__(self, namespaces: list[str]) -> None:
        from kubernetes import client, config

        self.problem = ""
        self._rests_until = math.inf
        self._namespaces = list(dict.fromkeys([*filter(None, namespaces), DEFAULT_NAMESPACE]))
        try:
            # The package reads KUBECONFIG once, when it is imported, and prints what it does.
            path = os.environ.get("KUBECONFIG") or ""
            if path or Path(_KUBECONFIG).expanduser().exists():
                config.load_kube_config(config_file=path or _KUBECONFIG)
            else:
                config.load_incluster_config()
        except (config.ConfigException, OSError):
            self.problem = "there is no kubeconfig (KUBECONFIG)"
            return
        configuration = client.Configuration.get_default_copy()
        configuration.retries = 1
        connection = client.ApiClient(configuration)
        self._core = client.CoreV1Api(connection)
        self._objects = client.CustomObjectsApi(connection)

    def snapshot(self, run_id: str) -> Snapshot:
        """Return what is known of a run; empty where nothing can be read."""
        if self.problem and time.monotonic() < self._rests_until:
            return Snapshot()
        self.problem = ""
        selector = f"pipeline/runid={run_id}"
        pods = self._pods(selector)
        workflows = self._workflows(selector)
        if pods is None or workflows is None:
            return Snapshot(pods=pods or [])
        return Snapshot(workflows[0] if workflows else None, pods, sure=True)

    def _pods(self, selector: str) -> list[dict[str, Any]] | None:
        def everywhere() -> Any:
            return self._core.list_pod_for_all_namespaces(
                label_selector=selector, _request_timeout=_TIMEOUT_S, _preload_content=False
            )

        def within(namespace: str) -> Any:
            return self._core.list_namespaced_pod(
                namespace,
                label_selector=selector,
                _request_timeout=_TIMEOUT_S,
                _preload_content=False,
            )

        return self._listed(everywhere, within)

    def _workflows(self, selector: str) -> list[dict[str, Any]] | None:
        kind = ("argoproj.io", "v1alpha1")
        options = {"label_selector": selector, "_request_timeout": _TIMEOUT_S}

        def everywhere() -> Any:
            return self._objects.list_cluster_custom_object(*kind, "workflows", **options)

        def within(namespace: str) -> Any:
            return self._objects.list_namespaced_custom_object(
                *kind, namespace, "workflows", **options
            )

        return self._listed(everywhere, within)

    def _listed(
        self, everywhere: Callable[[], Any], within: Callable[[str], Any]
    ) -> list[dict[str, Any]] | None:
        """Return the items of all namespaces, or of those that may be listed; None for none."""
        from kubernetes.client.exceptions import ApiException

        answer = self._answer(everywhere)
        if not isinstance(answer, ApiException) or answer.status != 403:
            return None if isinstance(answer, Exception) else answer
        items: list[dict[str, Any]] | None = None
        for namespace in self._namespaces:
            answer = self._answer(partial(within, namespace))
            if not isinstance(answer, Exception):
                items = [*(items or []), *answer]
        return items

    def _answer(self, request: Callable[[], Any]) -> list[dict[str, Any]] | Exception:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = request()
        except ApiException as error:
            refusal: Exception = error
            return refusal
        except (HTTPError, OSError) as error:
            self.problem = f"the Kubernetes API cannot be reached ({type(error).__name__})"
            self._rests_until = time.monotonic() + _REST_S
            return error
        content: Any = answer if isinstance(answer, dict) else json.loads(answer.data)
        return list(content.get("items") or [])

    def warnings(self, pod: dict[str, Any]) -> list[str]:
        """Return the messages of the warnings about a pod, the latest last."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        selector = f"involvedObject.name={name},type=Warning"
        answer = self._answer(
            lambda: self._core.list_namespaced_event(
                namespace,
                field_selector=selector,
                _request_timeout=_TIMEOUT_S,
                _preload_content=False,
            )
        )
        if isinstance(answer, Exception):
            return []
        answer.sort(key=lambda event: str(event.get("lastTimestamp") or ""))
        return [str(event.get("message") or "") for event in answer]

    def log(self, name: str, namespace: str) -> str | None:
        """Return the last lines of a step's log; None where they cannot be read."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        if self.problem:
            return None
        try:
            answer = self._core.read_namespaced_pod_log(
                name,
                namespace,
                container="main",
                tail_lines=_TAIL,
                _request_timeout=2 * _TIMEOUT_S,
                _preload_content=False,
            )
        except (ApiException, HTTPError, OSError):
            return None
        return str(answer.data.decode(errors="replace"))

    def delete(self, pod: dict[str, Any]) -> bool:
        """Delete a pod, and return whether it is allowed."""
        from kubernetes.client.exceptions import ApiException

        metadata = pod["metadata"]
        try:
            self._core.delete_namespaced_pod(
                metadata["name"], metadata["namespace"], _request_timeout=_TIMEOUT_S
            )
        except ApiException as error:
            return bool(error.status == 404)
        return True

    def has_service_account(self, name: str, namespace: str) -> bool | None:
        """Return whether a namespace has a service account; None where nobody says."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        if self.problem:
            return None
        try:
            self._core.read_namespaced_service_account(name, namespace, _request_timeout=_TIMEOUT_S)
        except ApiException as error:
            return False if error.status == 404 else None
        except (HTTPError, OSError):
            return None
        return True


def require_service_account(
    kubernetes: Kubernetes, name: str, namespace: str | None, say: Callable[[str], None]
) -> None:
    """Check that the service account of runs exists: KFP takes any name, and no pod starts.

    Args:
        kubernetes: The Kubernetes API.
        name: Name of the service account; empty: KFP's default, which is there.
        namespace: Namespace of the runs; None for KFP for one user.
        say: Prints a line where it cannot be checked.

    Raises:
        ClusterError: There is none of the name.
    """
    namespace = namespace or DEFAULT_NAMESPACE
    exists = kubernetes.has_service_account(name, namespace) if name else True
    if exists is None:
        reason = kubernetes.problem or "Kubernetes does not show it"
        say(f"whether the service account {name} exists is not known: {reason}")
    elif not exists:
        raise ClusterError(
            f"The service account {name} is missing in the namespace {namespace}",
            expected="a service account with the rights of a run",
            received="none of this name",
            hint="manifests/overlays/kubeflow creates mammo-run (a copy with its namespace for a "
            "profile); or pass --service-account",
        )


def node_name_of(pod: dict[str, Any]) -> str:
    """Return the name that Argo gave the node of a pod; empty for a pod of another origin."""
    annotations = pod.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(_NODE_NAME) or "")
