"""Why a pod of a run does not start, or ended: what Kubernetes says, and the remedy.

KFP reports none of it: its `error` is empty, and a run whose pod cannot start says RUNNING.

Source: reasons of containers and pods in Kubernetes 1.34; the recordings in
tests/pipelines/recordings.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

_TAG = "`make images` builds them; push them to a registry that the nodes reach, or load them there"
_IMAGE = f"check the name and --image-tag ({_TAG}), and the Secret of a private registry"
_SECRET = "`scripts/copy-secrets NAMESPACE` copies the Secrets of runs to their namespace"
_ACCOUNT = "apply manifests/overlays/kubeflow (a copy with its namespace for a profile), or pass "
_MEMORY = (
    "raise `memory_limit` of the step in pipelines/platform.py, or lower its batch_size in the "
    "recipe; a training resumes from its checkpoint when it is run again"
)
_NODES = (
    "free or add nodes, or lower the requests (pipelines/platform.py), gpu_count, node_selector"
)
_DISK = "free space on the node, or add nodes; then run it again: what is finished is reused"
_AGAIN = "run it again: what is finished is reused"
_BY_ITSELF = (
    "nothing to do yet: Argo starts a lost pod again while it has attempts left, and what is "
    "finished is reused"
)
_IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
)
_CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
#: Exit code of a process that was killed: 128 and the number of SIGKILL.
_KILLED = 137
_LONGEST = 300


@dataclass(frozen=True)
class Fault:
    """Why a pod does not start, or ended.

    Attributes:
        reason: The fault in a few words, with Kubernetes' name for it.
        received: What Kubernetes says.
        remedy: What to do.
        expected: What would have been right.
        lost: Whether the pod went away without an end of its own: Argo may start it again.
    """

    reason: str
    received: str
    remedy: str
    expected: str = "a pod that starts"
    lost: bool = False

    def as_of(self, ended: bool) -> "Fault":
        """Return the fault with the remedy for a task that has ended, or that goes on.

        Until then a lost pod is Argo's to start again.
        """
        return replace(self, remedy=_BY_ITSELF) if self.lost and not ended else self

    def line(self) -> str:
        """Return the fault as one line."""
        return f"{self.reason}: {self.received}. Hint: {self.remedy}."


def fault_of_pod(pod: Mapping[str, Any], events: list[str] | None = None) -> Fault | None:
    """Return why a pod does not start, or did not end well; None where nothing is wrong.

    Args:
        pod: The pod, as the Kubernetes API returns it.
        events: Messages of its warnings, the latest last: a volume that is missing is only there.
    """
    status = pod.get("status") or {}
    fault = _of_phase(status)
    if fault is not None:
        return fault
    for container in _containers(status):
        state = container.get("state") or {}
        image = str(container.get("image") or "")
        fault = _of_waiting(state.get("waiting") or {}, image) or _of_terminated(
            state.get("terminated") or {}, str(container.get("name"))
        )
        if fault is not None:
            return fault
    if status.get("phase") == "Pending" and events:
        return _of_event(events[-1])
    return None


def is_stuck(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has not begun and cannot."""
    pending = (pod.get("status") or {}).get("phase") == "Pending"
    return pending and fault_of_pod(pod) is not None


def fault_of_message(message: str) -> Fault | None:
    """Return the fault that a message of Argo about a node names, or None."""
    text = _shortened(message)
    if match := re.search(r'service account (\S+): serviceaccount "([^"]+)" not found', message):
        return Fault(
            f"the service account {match[2]} is missing",
            text,
            f"{_ACCOUNT}--service-account NAME of one in the namespace of the runs",
            f"the service account {match[1]}",
        )
    if "exceeded quota" in message:
        return Fault("the quota of the namespace is used up", text, _NODES, "room in the quota")
    if "is forbidden" in message:
        return Fault(
            "Kubernetes refuses the pod",
            text,
            "a policy of the namespace says what it refuses: docs/cluster.md, Admission",
            "a pod that the policies of the namespace accept",
        )
    if "OOMKilled" in message:
        return _out_of_memory(text)
    if "pod deleted" in message or "node is lost" in message:
        return Fault("its pod was deleted", text, _AGAIN, "a pod that ends by itself", lost=True)
    if re.match(r"(Unschedulable|PodInitializing)?:? ?0/\d+ nodes are available", message):
        return _unschedulable(text)
    for reason in _IMAGE_REASONS:
        if reason in message:
            return Fault(f"the container image cannot be pulled ({reason})", text, _IMAGE)
    for reason in _CONFIG_REASONS:
        if reason in message:
            return _of_configuration(reason, text)
    return None


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the statuses of the containers, the step's own first."""
    containers = list(status.get("containerStatuses") or [])
    yield from sorted(containers, key=lambda container: container.get("name") != "main")
    yield from status.get("initContainerStatuses") or []


def _of_phase(status: Mapping[str, Any]) -> Fault | None:
    reason, text = str(status.get("reason") or ""), _shortened(str(status.get("message") or ""))
    if reason == "Evicted":
        remedy = _MEMORY if "memory" in text else _DISK
        return Fault("its pod was evicted (Evicted)", text, remedy, "a node with room for the pod")
    if reason == "DeadlineExceeded":
        return Fault(
            "the step took longer than its time limit (DeadlineExceeded)",
            text,
            "raise `hours` of the step in pipelines/platform.py",
            "an end within the time limit",
        )
    if reason:
        expected = "a pod that ends by itself"
        return Fault(f"its pod was lost ({reason})", text, _AGAIN, expected, lost=True)
    for condition in status.get("conditions") or []:
        unscheduled = condition.get("type") == "PodScheduled" and condition.get("status") == "False"
        if unscheduled and status.get("phase") == "Pending":
            return _unschedulable(_shortened(str(condition.get("message") or "")))
    return None


def _of_waiting(waiting: Mapping[str, Any], image: str) -> Fault | None:
    reason, text = str(waiting.get("reason") or ""), _shortened(str(waiting.get("message") or ""))
    if reason in _IMAGE_REASONS:
        name = f" {image}" if image else ""
        return Fault(f"the container image{name} cannot be pulled ({reason})", text, _IMAGE)
    if reason in _CONFIG_REASONS:
        return _of_configuration(reason, text)
    if reason == "CrashLoopBackOff":
        return Fault(f"its container ends at once ({reason})", text, "read its logs")
    return None


def _of_configuration(reason: str, text: str) -> Fault:
    if match := re.search(r'(secret|configmap) "([^"]+)" not found', text):
        kind = {"secret": "Secret", "configmap": "ConfigMap"}[match[1]]
        return Fault(f"the {kind} {match[2]} is missing ({reason})", text, _SECRET)
    if match := re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (\S+)", text):
        missing = f"the key {match[1]} of the {match[2]} {match[3]} is missing ({reason})"
        return Fault(missing, text, _SECRET)
    return Fault(f"its container cannot be created ({reason})", text, "read docs/cluster.md")


def _of_terminated(terminated: Mapping[str, Any], container: str) -> Fault | None:
    code, reason = terminated.get("exitCode", 0), str(terminated.get("reason") or "")
    if reason == "OOMKilled":
        return _out_of_memory(f"OOMKilled, exit code {code}")
    if code == _KILLED:
        return Fault(
            "it was killed without a word (exit code 137)",
            f"{reason or 'no reason'} from the container {container}",
            "most often memory: raise `memory_limit` of the step in pipelines/platform.py",
            "an end of its own",
        )
    return None


def _of_event(message: str) -> Fault | None:
    if match := re.search(r'(secret|configmap) "([^"]+)" not found', message):
        kind = {"secret": "Secret", "configmap": "ConfigMap"}[match[1]]
        return Fault(f"the {kind} {match[2]} is missing", _shortened(message), _SECRET)
    if "MountVolume" in message or "Unable to attach or mount" in message:
        return Fault("a volume cannot be mounted", _shortened(message), _SECRET)
    return None


def _unschedulable(text: str) -> Fault:
    return Fault("no node has room for its pod (Unschedulable)", text, _NODES, "a node with room")


def _out_of_memory(text: str) -> Fault:
    return Fault(
        "it used more memory than its limit (OOMKilled)", text, _MEMORY, "less than the limit"
    )


def _shortened(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
