"""A real Kubernetes, the one of KUBECONFIG: only where MAMMO_TEST_CLUSTER=1 (`make test-cluster`).

It needs the images mammo-pipelines/{data,train,train-tfio}:test and an image of MinIO under the
name in manifests/overlays/minio; where no image registry is reached, a stand-in around the
MinIO binary.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from pipelines.platform import STEP_LABEL

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def _kubectl(*words: object, text: str | None = None, check: bool = True) -> str:
    done = subprocess.run(
        ["kubectl", *map(str, words)], input=text, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout if done.returncode == 0 else done.stderr


@pytest.fixture(scope="session")
def kubectl():
    """`kubectl(*words, text=…)`: the command line, or its complaint with `check=False`."""
    if os.environ.get("MAMMO_TEST_CLUSTER") != "1":
        pytest.skip("a cluster is used only with MAMMO_TEST_CLUSTER=1 (`make test-cluster`)")
    _kubectl("version")
    return _kubectl


@pytest.fixture(scope="session")
def secrets(kubectl, tmp_path_factory):
    """Secrets with random keys, in a new namespace mammo: what was there before is removed."""
    import shutil

    kubectl("delete", "namespace", "mammo", "--ignore-not-found", "--wait=true", "--timeout=300s")
    folder = tmp_path_factory.mktemp("secrets") / "secrets"
    shutil.copytree(
        REPOSITORY / "manifests" / "secrets", folder, ignore=shutil.ignore_patterns("*.env")
    )
    subprocess.run([REPOSITORY / "scripts" / "make-secrets", folder], check=True)
    kubectl("apply", "-f", REPOSITORY / "manifests" / "base" / "namespace.yaml")
    # KFP's namespace, where one overlay belongs; its own pods are not needed.
    kubeflow = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow"}}
    kubectl("apply", "-f", "-", text=json.dumps(kubeflow))
    kubectl("apply", "-k", folder)


@pytest.fixture(scope="session")
def rendered():
    """`rendered(folder)`: manifests with the images' tag, the volume small enough for a test."""

    def render(folder: str) -> str:
        line = [REPOSITORY / "scripts" / "render-manifests", folder, "test"]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        return done.stdout

    return render


@pytest.fixture(scope="session")
def minio(kubectl, secrets, rendered):
    """The overlay minio, up and initialized."""
    kubectl("apply", "-f", "-", text=rendered("overlays/minio"))
    kubectl("-n", "mammo", "rollout", "status", "statefulset/minio", "--timeout=180s")
    kubectl(
        "-n", "mammo", "wait", "--for=condition=complete", "--timeout=180s", "job/minio-initialize"
    )


@pytest.fixture(scope="session")
def job(kubectl, minio):
    """`job(name, image, secret, script)`: run a Job under the restricted profile; its log."""

    def run(name: str, image: str, secret: str, script: str) -> tuple[bool, str]:
        kubectl("-n", "mammo", "delete", "job", name, "--ignore-not-found", "--wait=true")
        container = {
            "name": "main",
            "image": f"mammo-pipelines/{image}:test",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script],
            "envFrom": [{"secretRef": {"name": secret}}],
            "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "3Gi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "scratch", "mountPath": "/scratch"},
                {"name": "ca", "mountPath": "/etc/mammo/ca", "readOnly": True},
            ],
        }
        pod = {
            "restartPolicy": "Never",
            "serviceAccountName": "mammo-job",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "scratch", "emptyDir": {}},
                {"name": "ca", "configMap": {"name": "mammo-ca", "optional": True}},
            ],
        }
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": "mammo"},
            "spec": {
                "backoffLimit": 0,
                "template": {"metadata": {"labels": {STEP_LABEL: "true"}}, "spec": pod},
            },
        }
        kubectl("apply", "-f", "-", text=json.dumps(manifest))
        for _ in range(150):
            status = json.loads(kubectl("-n", "mammo", "get", "job", name, "-o", "json"))["status"]
            if status.get("succeeded") or status.get("failed"):
                break
            import time

            time.sleep(2)
        return bool(status.get("succeeded")), kubectl("-n", "mammo", "logs", f"job/{name}")

    return run
