"""Reasons that the recordings do not have, in the words of Kubernetes 1.34 and Argo 4.0."""

import pytest

from pipelines.cluster.faults import fault_of_message, fault_of_pod, is_stuck
from pipelines.cluster.watch import error_in


def _waiting(reason, message=""):
    state = {"waiting": {"reason": reason, "message": message}}
    return {"status": {"phase": "Pending", "containerStatuses": [_main(state)]}}


def _main(state):
    return {"name": "main", "image": "registry/data:abc1234", "state": state}


def _ended(code, reason="Error"):
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"status": {"phase": "Failed", "containerStatuses": [_main(state)]}}


_UNSCHEDULABLE = {
    "status": {
        "phase": "Pending",
        "conditions": [
            {
                **{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"},
                "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
            }
        ],
    }
}
_EVICTED = {"phase": "Failed", "reason": "Evicted"}
_LOW = "The node was low on resource: "


@pytest.mark.parametrize(
    ("pod", "reason", "remedy"),
    [
        (_UNSCHEDULABLE, "no node has room", "gpu_count"),
        ({"status": {**_EVICTED, "message": f"{_LOW}memory."}}, "evicted", "memory_limit"),
        ({"status": {**_EVICTED, "message": f"{_LOW}ephemeral-storage."}}, "evicted", "space"),
        (
            {"status": {"phase": "Failed", "reason": "DeadlineExceeded"}},
            "longer than its time limit",
            "hours",
        ),
        ({"status": {"phase": "Failed", "reason": "NodeLost"}}, "lost (NodeLost)", "run it again"),
        (_waiting("InvalidImageName"), "registry/data:abc1234 cannot be pulled", "--image-tag"),
        (_waiting("ErrImageNeverPull"), "cannot be pulled (ErrImageNeverPull)", "make images"),
        (
            _waiting("CreateContainerConfigError", 'configmap "mammo-ca" not found'),
            "the ConfigMap mammo-ca is missing",
            "copy-secrets",
        ),
        (
            _waiting(
                "CreateContainerConfigError", "couldn't find key MAMMO_SITE_KEY in Secret team/x"
            ),
            "the key MAMMO_SITE_KEY of the Secret team/x is missing",
            "copy-secrets",
        ),
        (_ended(137), "killed without a word", "memory"),
        (_ended(1, "OOMKilled"), "more memory than its limit", "memory_limit"),
    ],
)
def test_a_pod_that_does_not_run_says_why(pod, reason, remedy):
    fault = fault_of_pod(pod)
    assert reason in fault.reason and remedy in fault.remedy
    assert is_stuck(pod) is (pod["status"]["phase"] == "Pending")


@pytest.mark.parametrize(
    "pod",
    [
        {"status": {"phase": "Running", "containerStatuses": [_main({"running": {}})]}},
        _waiting("PodInitializing"),
        _waiting("ContainerCreating"),
        _ended(0, "Completed"),
        # A step that fails by itself reports its own error.
        _ended(1),
        {"status": {"phase": "Pending"}},
        {},
    ],
)
def test_a_pod_that_is_on_its_way_has_no_fault(pod):
    assert fault_of_pod(pod) is None
    assert not is_stuck(pod)


def test_a_volume_that_is_missing_is_only_in_the_events():
    message = 'MountVolume.SetUp failed for volume "v" : secret "mammo-tls" not found'
    fault = fault_of_pod(_waiting("ContainerCreating"), ["earlier", message])
    assert "the Secret mammo-tls is missing" in fault.reason
    fault = fault_of_pod(_waiting("ContainerCreating"), ["Unable to attach or mount volumes: x"])
    assert "volume" in fault.reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.", "no node has room"),
        ('pods "p" is forbidden: exceeded quota: mammo, requested: cpu=9', "quota"),
        ('pods "p" is forbidden: violates PodSecurity "restricted:latest": x', "refuses the pod"),
        ("pods \"p\" is forbidden: ValidatingAdmissionPolicy 'x' denied request", "refuses"),
        ("pod deleted", "its pod was deleted"),
        ("main: OOMKilled (exit code 137)", "more memory"),
        ('ImagePullBackOff: Back-off pulling image "x"', "cannot be pulled"),
    ],
)
def test_the_words_of_argo_are_understood(message, reason):
    assert reason in fault_of_message(message).reason


@pytest.mark.parametrize(
    "fault",
    [
        fault_of_message("pod deleted"),
        fault_of_pod({"status": {"phase": "Failed", "reason": "NodeLost"}}),
    ],
)
def test_a_lost_pod_is_argos_to_start_again_until_the_task_has_ended(fault):
    assert "run it again" in fault.as_of(ended=True).remedy
    assert "run it again" not in fault.as_of(ended=False).remedy
    assert "Argo starts a lost pod again" in fault.as_of(ended=False).line()


def test_what_argo_does_not_try_again_keeps_its_remedy():
    fault = fault_of_pod(_ended(1, "OOMKilled"))
    assert fault.as_of(ended=False) == fault


@pytest.mark.parametrize(
    "message", ["", "main: Error (exit code 1)", "omitted: depends condition not met"]
)
def test_other_words_of_argo_are_no_fault(message):
    assert fault_of_message(message) is None


_TRACEBACK = """[index] reading
Traceback (most recent call last):
  File "/usr/local/lib/python3.11/runpy.py", line 196, in _run_module_as_main
    from mammo_core.steps.data import choose_partitions
ImportError: cannot import name 'choose_partitions'
E1130 17:32:16.459090      16 launcher_v2.go:449] Component failed to execute successfully
Error: exit status 1
"""


def test_an_exception_that_nothing_caught_is_the_error():
    error = error_in(_TRACEBACK)
    assert "Received ImportError: cannot import name 'choose_partitions'. Hint:" in error
    assert "different versions" in error
    # What the step says itself comes first.
    assert error_in(f"{_TRACEBACK}[index] error: Too few. Expected 2. Received 1.\n") == (
        "Too few. Expected 2. Received 1."
    )
    assert error_in("[index] 3 images\nerror-free\n") == ""
