"""The pod by which the doctor looks at a cluster from inside."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

from pipelines.doctor.checks import Check, CheckResult
from pipelines.doctor.cluster import Target
from pipelines.platform import STEP_LABEL, STEPS
from pipelines.roles import ROLES, secret_of

_PAUSE_S: Final = 1.0
_TTL_S: Final = 600
#: Why a container does not start → what to do about it.
_REMEDIES: Final = {
    "ErrImagePull": "push the image where the nodes find it, or correct its name",
    "ImagePullBackOff": "push the image where the nodes find it, or correct its name",
    "ErrImageNeverPull": "load the image into the node",
    "InvalidImageName": "correct the name of the image",
    "CreateContainerConfigError": "look at the Secrets and ConfigMaps that the message names",
}
_CONTEXT: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_RESOURCES: Final = {
    "requests": {"cpu": "50m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}


def pod(name: str, image: str, train_image: str, roles: list[str]) -> dict[str, Any]:
    """Return the pod, with the Secrets of some roles in a folder each.

    Args:
        name: Name of the pod.
        image: Container image of the data steps.
        train_image: Container image of the training steps, which is pulled and started as well;
            empty: it is not.
        roles: Roles whose Secrets are there.
    """
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "command": ["mammo", "doctor", "inside", "/credentials"],
        "resources": _RESOURCES,
        "securityContext": _CONTEXT,
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "credentials", "mountPath": "/credentials", "readOnly": True},
            {"name": "ca", "mountPath": "/etc/mammo/ca", "readOnly": True},
        ],
    }
    start = {**container, "name": "train-image", "image": train_image, "command": ["true"]}
    sources = [
        {
            "secret": {
                "name": secret_of(role),
                "optional": True,
                "items": [
                    {"key": key, "path": f"{role}/{key}"}
                    for key in ("MAMMO_S3_ENDPOINT", "MAMMO_S3_ACCESS_KEY", "MAMMO_S3_SECRET_KEY")
                ],
            }
        }
        for role in roles
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # Seen by the network and admission policies as a step of a run.
        "metadata": {"name": name, "labels": {STEP_LABEL: "true", "pipeline/runid": name}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _TTL_S,
            "automountServiceAccountToken": False,
            "initContainers": [start] if train_image else [],
            "containers": [container],
            "volumes": [
                {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "credentials", "projected": {"sources": sources}},
                {"name": "ca", "configMap": {"name": "mammo-ca", "optional": True}},
            ],
        },
    }


def _inside(target: Target) -> Iterator[CheckResult]:
    name = f"mammo-doctor-{uuid4().hex[:8]}"
    path = f"/api/v1/namespaces/{target.namespace}/pods"
    steps = {platform.role for platform in STEPS.values()}
    roles = [role for role in ROLES if role in steps]
    body = pod(name, target.image, target.train_image, roles)
    target.cluster.request("POST", path, body)
    try:
        status = _wait(target, f"{path}/{name}")
        fault = _fault(status, target.wait_s)
        if fault is not None:
            yield fault
            return
        yield CheckResult("container images", "ok", f"a pod of {target.image} ran")
        log = target.cluster.request("GET", f"{path}/{name}/log?container=main").decode()
        for line in log.splitlines():
            if line.startswith("{"):
                yield CheckResult(**json.loads(line))
        if status["phase"] != "Succeeded" and "{" not in log:
            yield CheckResult("pod", "failed", (log.strip().splitlines() or ["no log"])[-1])
    finally:
        target.cluster.request("DELETE", f"{path}/{name}?gracePeriodSeconds=0")


def _wait(target: Target, path: str) -> dict[str, Any]:
    """Return the status of the pod when it has ended, cannot start, or takes too long."""
    end = time.monotonic() + target.wait_s
    while True:
        status = dict(target.cluster.get(path)["status"])
        if status.get("phase") in ("Succeeded", "Failed") or time.monotonic() > end:
            return status
        if any(reason in _REMEDIES for reason, _ in _waiting(status)):
            return status
        time.sleep(_PAUSE_S)


def _waiting(status: dict[str, Any]) -> list[tuple[str, str]]:
    containers = [
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ]
    waiting = [item.get("state", {}).get("waiting") for item in containers]
    return [(part.get("reason", ""), part.get("message", "")) for part in waiting if part]


def _fault(status: dict[str, Any], wait_s: float) -> CheckResult | None:
    """Return why the pod did not get to its end; None where it did."""
    for reason, message in _waiting(status):
        if reason in _REMEDIES:
            return CheckResult("pod", "failed", f"{reason}: {message}", _REMEDIES[reason])
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            text = f"not scheduled: {condition.get('message', '')}"
            return CheckResult("pod", "failed", text, "free resources, or add a node")
    return CheckResult(
        "pod", "failed", f"did not end within {wait_s:.0f} s", "look at it with kubectl describe"
    )


#: The look from inside.
INSIDE: Final = Check("pod", _inside)
