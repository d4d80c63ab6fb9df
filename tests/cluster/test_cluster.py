import json
import time

import pytest
import yaml

from pipelines.roles import ROLES

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1500)]


OVERLAYS = (
    *("gpu", "redis", "minio", "minio-tls", "seaweedfs", "seaweedfs-tls"),
    *("kubeflow", "kind"),
)


def _apply_dry(kubectl, text):
    """Let the API server judge manifests, whoever applied them before."""
    options = ("--server-side", "--force-conflicts", "--dry-run=server")
    kubectl("apply", *options, "-f", "-", text=text)


@pytest.mark.parametrize("folder", ["base", *(f"overlays/{name}" for name in OVERLAYS)])
def test_every_overlay_applies(kubectl, secrets, rendered, folder):
    _apply_dry(kubectl, rendered(folder))


@pytest.mark.parametrize(
    ("folder", "absent"),
    [
        ("overlays/kserve", ["InferenceService"]),
        ("overlays/minio-cert-manager", ["Certificate", "Certificate", "Issuer", "Issuer"]),
        ("overlays/seaweedfs-cert-manager", ["Certificate", "Certificate", "Issuer", "Issuer"]),
    ],
)
def test_what_needs_absent_definitions_applies_but_for_that(
    kubectl, secrets, rendered, folder, absent
):
    parts = [part for part in yaml.safe_load_all(rendered(folder)) if part]
    known = [part for part in parts if part["kind"] not in absent]
    assert sorted(part["kind"] for part in parts if part not in known) == absent
    text = yaml.safe_dump_all(known)
    _apply_dry(kubectl, text)


def test_minio_comes_up_and_is_initialized(kubectl, minio):
    output = kubectl("-n", "mammo", "logs", "job/minio-initialize")
    for role in ROLES:
        assert f"user mammo-{role}: policy mammo-{role}" in output


def test_an_upload_and_a_step_of_the_data_image_work_with_the_credentials_of_their_secrets(job):
    script = (
        "mammo phantom create /scratch/p --patients 8 --seed 1 --size 192x150 --layout original"
        " && mammo store put /scratch/p s3://mammo-sources/phantom"
    )
    done, output = job("upload", "data", "mammo-s3-upload", script)
    assert done, output
    script = "mammo store ls s3://mammo-sources/phantom | tail -n 2 && id -u"
    done, output = job("data-step", "data", "mammo-s3-data", script)
    assert done, output
    assert output.strip().endswith("10001")


def test_a_step_of_the_train_image_works_with_the_credentials_of_its_secret(job):
    script = (
        "python -c 'import keras, tensorflow; print(keras.backend.backend())'"
        " && mammo models list --store s3://mammo && id -u"
    )
    done, output = job("train-step", "train", "mammo-s3-train", script)
    assert done, output
    assert output.strip().endswith("10001")


def test_a_step_of_the_tfio_image_works_with_the_credentials_of_its_secret(job):
    code = (
        "from mammo_core.datasets import tfio; from mammo_core.store import open_store; "
        'tfio.load(); store = open_store("s3://mammo"); store.write("trainings/tfio", b"1"); '
        'print(store.read("trainings/tfio"))'
    )
    done, output = job("tfio-step", "train-tfio", "mammo-s3-train", f"python -c '{code}' && id -u")
    assert done, output
    assert output.strip().endswith("10001")


@pytest.mark.parametrize(
    ("role", "image", "script"),
    [
        ("train", "data", "mammo store ls s3://mammo-sources/phantom"),
        ("serve", "data", "mammo store ls s3://mammo-sources/phantom"),
        ("serve", "data", "mammo store ls s3://mammo/datasets"),
        ("data", "data", "mammo store ls s3://mammo-scores/a"),
        ("release", "data", "mammo store ls s3://mammo-sources/phantom"),
        ("upload", "data", "mammo store ls s3://mammo/models"),
    ],
)
def test_a_role_cannot_read_what_is_anothers(job, role, image, script):
    done, output = job(f"denied-{role}", image, f"mammo-s3-{role}", script)
    assert not done, output
    assert "denied" in output.lower()


def test_a_pod_that_breaks_the_profile_is_refused(kubectl, secrets):
    bad = """
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: mammo}
spec:
  containers:
    - {name: main, image: "mammo-pipelines/data:test", securityContext: {privileged: true}}
"""
    output = kubectl("apply", "-f", "-", text=bad, check=False)
    assert "violates PodSecurity" in output
    assert "privileged" in output


CONTEXT = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _pod(labels, context, limits):
    container = {
        "name": "main",
        "image": "mammo-pipelines/data:test",
        "resources": {"limits": limits},
        "securityContext": {**CONTEXT, **context},
    }
    spec = {"automountServiceAccountToken": False, "containers": [container]}
    meta = {"name": "tried", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


STEP = {"pipeline/runid": "1", "mammo/uses-store": "true"}
MEMORY = {"memory": "1Gi"}


@pytest.fixture(scope="module")
def policies(kubectl, secrets, rendered):
    """The manifests of the base, once the API server has compiled their policies."""
    kubectl("apply", "-f", "-", text=rendered("base"))
    kubectl("apply", "-f", "-", text=rendered("overlays/kubeflow"))
    wrong = json.dumps(_pod(STEP, {"capabilities": {}}, MEMORY))
    for _ in range(120):
        if "denied" in kubectl(*TRY, "kubeflow", text=wrong, check=False):
            break
        time.sleep(0.5)
    for name in ("mammo-run-pods", "mammo-pods"):
        policy = kubectl("get", "validatingadmissionpolicy", name, "-o", "json")
        # The API server checks the types of the expressions.
        warnings = json.loads(policy).get("status", {}).get("typeChecking", {})
        assert not warnings.get("expressionWarnings"), warnings


TRY = ("apply", "--dry-run=server", "-f", "-", "-n")


@pytest.mark.parametrize("namespace", ["mammo", "kubeflow"])
def test_a_step_is_admitted(kubectl, policies, namespace):
    # KFP's launcher writes to the root of the container.
    pod = _pod(STEP, {"readOnlyRootFilesystem": False}, MEMORY)
    kubectl(*TRY, namespace, text=json.dumps(pod))


@pytest.mark.parametrize(
    ("namespace", "labels", "context", "limits", "message"),
    [
        ("kubeflow", STEP, {"capabilities": {"drop": ["KILL"]}}, MEMORY, "keeps capabilities"),
        ("kubeflow", STEP, {"allowPrivilegeEscalation": True}, MEMORY, "may gain privileges"),
        ("kubeflow", STEP, {"seccompProfile": {"type": "Unconfined"}}, MEMORY, "no seccomp"),
        ("kubeflow", STEP, {"runAsUser": 0}, MEMORY, "as root, or without a memory limit"),
        ("kubeflow", STEP, {}, {}, "as root, or without a memory limit"),
        ("mammo", {}, {"readOnlyRootFilesystem": False}, MEMORY, "can write to its root"),
        ("mammo", {}, {}, {}, "has no memory limit"),
    ],
)
def test_a_pod_that_asks_for_more_is_refused(
    kubectl, policies, namespace, labels, context, limits, message
):
    pod = json.dumps(_pod(labels, context, limits))
    output = kubectl(*TRY, namespace, text=pod, check=False)
    assert message in output


def test_a_pod_of_another_team_is_not_concerned(kubectl, policies):
    kubectl(*TRY, "kubeflow", text=json.dumps(_pod({}, {"readOnlyRootFilesystem": False}, {})))
