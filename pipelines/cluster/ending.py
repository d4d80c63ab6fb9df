"""Ending a run by hand, so that no pod of it stays."""

import time
from collections.abc import Callable
from typing import Any

from pipelines.cluster.faults import is_stuck
from pipelines.cluster.kubernetes import Kubernetes
from pipelines.connection import ClusterError

_INTERVAL_S = 3.0


def remove_stuck_pods(
    kubernetes: Kubernetes, run_id: str, say: Callable[[str], None], timeout_s: float = 60.0
) -> None:
    """Delete what a run leaves behind at its end: pods that cannot start.

    Argo ends the steps of a terminated run, but the pod of the task that runs whatever happened may
    wait for an image that is missing; it holds its requests until the Workflow is removed, a week
    later. A pod that runs is writing the summary of the run: it ends by itself.

    Args:
        kubernetes: The Kubernetes API.
        run_id: The run, which has ended.
        say: Prints a line.
        timeout_s: How long to wait for pods that run (seconds).

    Raises:
        ClusterError: A pod stays.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        pods = [pod for pod in kubernetes.snapshot(run_id).pods if not _has_ended(pod)]
        for pod in pods:
            if is_stuck(pod) and kubernetes.delete(pod):
                say(f"deleted the pod {pod['metadata']['name']}, which could not start")
        if not pods or time.monotonic() >= deadline:
            break
        time.sleep(_INTERVAL_S)
    if kubernetes.problem:
        command = f"kubectl delete pod -A -l pipeline/runid={run_id}"
        say(
            f"whether a pod stays is not known ({kubernetes.problem}): {command} "
            "--field-selector=status.phase=Pending"
        )
    elif pods:
        names = ", ".join(pod["metadata"]["name"] for pod in pods)
        raise ClusterError(
            f"Pods of the run {run_id} stay",
            expected="no pod of a run that has ended",
            received=names,
            hint=f"kubectl delete pod -A -l pipeline/runid={run_id}",
        )


def _has_ended(pod: dict[str, Any]) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return ended or bool(pod.get("metadata", {}).get("deletionTimestamp"))
