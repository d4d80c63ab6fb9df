"""The admission policies, evaluated as the cluster does. tests/cluster applies them to a real one.

Source: Kubernetes documentation, Validating Admission Policy: variables are lazy and in order; a
pod is refused if any validation is false.
"""

import copy
import json

import celpy
import pytest

#: A pod of a run as KFP 2.17.0 and Argo 4.0.5 make it from our step: the security contexts are
#: those of `security_context.go` and of the workflow controller's `executor` setting.
_CONTEXT = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
STEP = {
    "metadata": {"labels": {"pipeline/runid": "5b9b1d9e", "mammo/uses-store": "true"}},
    "spec": {
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            {"name": "init", "securityContext": {**_CONTEXT, "runAsNonRoot": True}},
            {"name": "kfp-launcher", "securityContext": {**_CONTEXT, "runAsNonRoot": True}},
        ],
        "containers": [
            {"name": "wait", "resources": {}, "securityContext": {**_CONTEXT}},
            {
                "name": "main",
                "resources": {"limits": {"memory": "4G"}},
                "securityContext": {
                    **_CONTEXT,
                    "runAsUser": 10001,
                    "runAsGroup": 10001,
                    "runAsNonRoot": True,
                },
            },
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    },
}


@pytest.fixture(scope="module")
def policies(built):
    """Name → the compiled variables and validations of a policy."""
    environment = celpy.Environment()
    compiled = {}
    for item in built("base"):
        if item["kind"] != "ValidatingAdmissionPolicy":
            continue
        spec = item["spec"]
        variables = [(v["name"], v["expression"]) for v in spec.get("variables", [])]
        validations = [(v["message"], v["expression"]) for v in spec["validations"]]
        compiled[item["metadata"]["name"]] = [
            [(name, environment.program(environment.compile(text))) for name, text in part]
            for part in (variables, validations)
        ]
    return compiled


def _refusals(policy, pod) -> list[str]:
    """The messages of the validations that a pod does not pass."""
    variables, validations = policy
    activation = {
        "object": celpy.json_to_cel(json.loads(json.dumps(pod))),
        "variables": celpy.json_to_cel({}),
    }
    for name, program in variables:
        activation["variables"][celpy.celtypes.StringType(name)] = program.evaluate(activation)
    return [message for message, program in validations if not program.evaluate(activation)]


def _changed(pod, path, value):
    """A copy of a pod with one value changed, or removed (None)."""
    pod = copy.deepcopy(pod)
    *parents, last = path
    target = pod
    for name in parents:
        target = target[name]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return pod


def _pod(built, folder, name):
    (item,) = [
        item
        for item in built(folder)
        if item["kind"] in ("StatefulSet", "Deployment", "Job") and item["metadata"]["name"] == name
    ]
    return item["spec"]["template"]


WAIT, MAIN = ("spec", "containers", 0), ("spec", "containers", 1)


def test_a_step_of_a_run_is_admitted(policies):
    assert _refusals(policies["mammo-run-pods"], STEP) == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "hostNetwork"), True, "the network"),
        (("spec", "hostPID"), True, "the network, the processes"),
        (("spec", "hostIPC"), True, "the memory of its node"),
        (("spec", "volumes", 0), {"name": "a", "hostPath": {"path": "/"}}, "a folder of its node"),
        ((*WAIT, "securityContext"), None, "gain privileges"),
        ((*MAIN, "securityContext", "privileged"), True, "gain privileges"),
        ((*MAIN, "securityContext", "allowPrivilegeEscalation"), True, "gain privileges"),
        ((*MAIN, "securityContext", "allowPrivilegeEscalation"), None, "gain privileges"),
        ((*MAIN, "securityContext", "capabilities"), {"drop": ["NET_RAW"]}, "capabilities"),
        (
            (*MAIN, "securityContext", "capabilities"),
            {"drop": ["ALL"], "add": ["SYS_ADMIN"]},
            "capabilities",
        ),
        (
            ("spec", "initContainers", 1, "securityContext", "capabilities"),
            {"drop": []},
            "capabilities",
        ),
        ((*MAIN, "securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccomp"),
        ((*MAIN, "securityContext", "runAsUser"), 0, "as root, or without"),
        ((*MAIN, "securityContext", "runAsUser"), None, "as root, or without"),
        ((*MAIN, "securityContext", "runAsGroup"), 0, "as root, or without"),
        ((*MAIN, "securityContext", "runAsNonRoot"), False, "as root, or without"),
        ((*MAIN, "resources"), {"limits": {"cpu": "1"}}, "a memory limit"),
        ((*MAIN, "resources"), None, "a memory limit"),
        (
            ("spec", "ephemeralContainers"),
            [{"name": "debug", "securityContext": {**_CONTEXT, "privileged": True}}],
            "gain privileges",
        ),
    ],
)
def test_a_step_that_asks_for_more_is_refused(policies, path, value, message):
    refusals = _refusals(policies["mammo-run-pods"], _changed(STEP, path, value))
    assert [text for text in refusals if message in text]


def test_the_seccomp_profile_of_the_pod_counts_where_a_container_has_none(policies):
    pod = _changed(STEP, (*WAIT, "securityContext", "seccompProfile"), None)
    assert _refusals(policies["mammo-run-pods"], pod) == []
    pod = _changed(pod, ("spec", "securityContext"), None)
    assert "seccomp" in _refusals(policies["mammo-run-pods"], pod)[0]


def test_a_step_of_another_team_may_run_as_the_user_of_its_image(policies):
    pod = _changed(STEP, ("metadata", "labels"), {"pipeline/runid": "1"})
    pod = _changed(pod, (*MAIN, "securityContext", "runAsUser"), None)
    pod = _changed(pod, (*MAIN, "resources"), None)
    assert _refusals(policies["mammo-run-pods"], pod) == []


OURS = (
    ("overlays/minio", "minio"),
    ("overlays/minio", "minio-initialize"),
    ("overlays/minio-tls", "minio"),
    ("overlays/minio-tls", "minio-initialize"),
    ("overlays/seaweedfs", "seaweedfs"),
    ("overlays/seaweedfs", "seaweedfs-initialize"),
    ("overlays/seaweedfs-tls", "seaweedfs"),
    ("overlays/seaweedfs-tls", "seaweedfs-initialize"),
    ("phantom", "phantom"),
    ("overlays/kind/champion", "champion"),
    ("overlays/redis", "redis"),
)


@pytest.mark.parametrize(("folder", "name"), OURS)
def test_our_other_pods_are_admitted(policies, built, folder, name):
    assert _refusals(policies["mammo-pods"], _pod(built, folder, name)) == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "automountServiceAccountToken"), True, "token"),
        (("spec", "automountServiceAccountToken"), None, "token"),
        (("spec", "volumes"), [{"name": "a", "hostPath": {"path": "/"}}], "a folder of its node"),
        (("spec", "securityContext", "runAsNonRoot"), None, "as root"),
        (
            ("spec", "containers", 0, "securityContext", "readOnlyRootFilesystem"),
            False,
            "write to its root",
        ),
        (
            ("spec", "containers", 0, "securityContext", "readOnlyRootFilesystem"),
            None,
            "write to its root",
        ),
        (("spec", "containers", 0, "securityContext", "capabilities"), None, "capabilities"),
        (
            ("spec", "containers", 0, "securityContext", "allowPrivilegeEscalation"),
            None,
            "gain privileges",
        ),
        (("spec", "containers", 0, "resources", "limits"), None, "no memory limit"),
        (
            ("spec", "initContainers"),
            [{"name": "a", "securityContext": {**_CONTEXT, "readOnlyRootFilesystem": True}}],
            "no memory limit",
        ),
    ],
)
def test_another_pod_that_asks_for_more_is_refused(policies, built, path, value, message):
    pod = _changed(_pod(built, "overlays/redis", "redis"), path, value)
    refusals = _refusals(policies["mammo-pods"], pod)
    assert [text for text in refusals if message in text]


def test_the_policies_hold_where_our_pods_are(built):
    objects = built("base")
    bindings = {
        item["metadata"]["name"]: item["spec"]
        for item in objects
        if item["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert {spec["policyName"] for spec in bindings.values()} == {"mammo-run-pods", "mammo-pods"}
    assert all("Deny" in spec["validationActions"] for spec in bindings.values())
    (expression,) = bindings["mammo-run-pods"]["matchResources"]["namespaceSelector"][
        "matchExpressions"
    ]
    assert expression["values"] == ["mammo", "kubeflow"]
    policies = [item["spec"] for item in objects if item["kind"] == "ValidatingAdmissionPolicy"]
    selected = {
        condition["operator"]
        for spec in policies
        for condition in spec["matchConstraints"]["objectSelector"]["matchExpressions"]
    }
    # Together they see every pod.
    assert selected == {"Exists", "DoesNotExist"}
    assert all(spec["failurePolicy"] == "Fail" for spec in policies)
