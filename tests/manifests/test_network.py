"""Who reaches whom by the network policies, worked out from labels as Kubernetes does.

The cluster of `make test-cluster` accepts policies and does not enforce them, so the selectors are
evaluated here. Labels and ports of KFP's pods: its manifests, release 2.17.0
(manifests/kustomize/base/pipeline, base/metadata/base, third-party/seaweedfs/base).
"""

from ipaddress import ip_address, ip_network
from typing import NamedTuple

import pytest

from pipelines.platform import STEP_LABEL


class Pod(NamedTuple):
    namespace: str
    labels: dict[str, str]


RUN = {"pipeline/runid": "5b9b1d9e", "workflows.argoproj.io/workflow": "mammo-train-zzpsv"}
STEP = Pod("kubeflow", {**RUN, STEP_LABEL: "true"})
DRIVER = Pod("kubeflow", RUN)
OWN_STEP = Pod("mammo", {**RUN, STEP_LABEL: "true"})
OWN_DRIVER = Pod("mammo", RUN)
FORGED = Pod("kubeflow", {STEP_LABEL: "true"})
NOTEBOOK = Pod("kubeflow", {"app": "notebook"})
JOB = Pod("mammo", {STEP_LABEL: "true"})
STRAY = Pod("mammo", {"app": "stray"})
SERVING = Pod("mammo", {"serving.kserve.io/inferenceservice": "mammo", STEP_LABEL: "true"})
MINIO = Pod("mammo", {"app.kubernetes.io/name": "minio"})
SEAWEEDFS = Pod("mammo", {"app.kubernetes.io/name": "seaweedfs"})
REDIS = Pod("mammo", {"app.kubernetes.io/name": "redis"})
SCHEDULER = Pod("mammo", {"app.kubernetes.io/name": "dask-scheduler"})
WORKER = Pod("mammo", {"app.kubernetes.io/name": "dask-worker", STEP_LABEL: "true"})
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
ARTIFACTS = Pod("kubeflow", {"app": "seaweedfs", "application-crd-id": "kubeflow-pipelines"})
KFP = Pod("kubeflow", {"app": "ml-pipeline", "application-crd-id": "kubeflow-pipelines"})
LINEAGE = Pod("kubeflow", {"component": "metadata-grpc-server"})
DATABASE = Pod("kubeflow", {"app": "mysql"})
CLINIC = Pod("clinic", {"app": "viewer"})
NAMESPACES = {"clinic": {"mammo/may-score": "true"}}
KUBERNETES, INTERNET = "10.96.0.1", "93.184.216.34"


def _matches(selector: dict, labels: dict[str, str]) -> bool:
    tests = {
        "Exists": lambda value, _: value is not None,
        "DoesNotExist": lambda value, _: value is None,
        "In": lambda value, values: value in values,
    }
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        tests[part["operator"]](labels.get(part["key"]), part.get("values"))
        for part in selector.get("matchExpressions", [])
    )


def _is_peer(peer: dict, namespace: str, other: Pod | str) -> bool:
    if isinstance(other, str):
        return "ipBlock" in peer and ip_address(other) in ip_network(peer["ipBlock"]["cidr"])
    if "ipBlock" in peer:  # pods are selected by labels, never by address
        return False
    labels = {"kubernetes.io/metadata.name": other.namespace, **NAMESPACES.get(other.namespace, {})}
    if "namespaceSelector" in peer:
        if not _matches(peer["namespaceSelector"], labels):
            return False
    elif other.namespace != namespace:
        return False
    return _matches(peer.get("podSelector", {}), other.labels)


def _allows(policies, direction: str, pod: Pod, other: Pod | str, port: int) -> bool:
    """Whether the policies of a pod's namespace let a connection through, in one direction."""
    selected = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], pod.labels)
    ]
    side = "to" if direction == "Egress" else "from"
    return not selected or any(
        any(entry["port"] == port for entry in rule["ports"])
        and any(_is_peer(peer, pod.namespace, other) for peer in rule[side])
        for spec in selected
        for rule in spec.get(direction.lower(), [])
    )


@pytest.fixture(scope="module")
def reaches(built):
    overlays = ("minio", "seaweedfs", "redis", "dask", "kserve", "kubeflow")
    folders = [f"overlays/{name}" for name in overlays]
    objects = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for folder in folders
        for item in built(folder)
        if item["kind"] == "NetworkPolicy"
    }
    policies = list(objects.values())

    def check(source: Pod, target: Pod | str, port: int) -> bool:
        out = _allows(policies, "Egress", source, target, port)
        return out and (
            isinstance(target, str) or _allows(policies, "Ingress", target, source, port)
        )

    return check


@pytest.mark.parametrize("step", [STEP, OWN_STEP])
@pytest.mark.parametrize(
    ("target", "port"),
    [
        (DNS, 53),
        (MINIO, 9000),
        (SEAWEEDFS, 8333),
        (REDIS, 6379),
        (SCHEDULER, 8786),
        (ARTIFACTS, 8333),
        (KFP, 8887),
        (KFP, 8888),
        (LINEAGE, 8080),
        (KUBERNETES, 443),
        (KUBERNETES, 6443),
    ],
)
def test_a_step_reaches_what_it_needs(reaches, step, target, port):
    assert reaches(step, target, port)


@pytest.mark.parametrize("step", [STEP, OWN_STEP])
@pytest.mark.parametrize(
    ("target", "port"),
    [
        (MINIO, 22),
        (SEAWEEDFS, 8888),
        (SEAWEEDFS, 9333),
        (DATABASE, 3306),
        (KFP, 22),
        (ARTIFACTS, 8111),
        (ARTIFACTS, 9333),
        (WORKER, 8788),
        (NOTEBOOK, 8888),
        (SERVING, 8080),
        (OWN_STEP, 8080),
        (CLINIC, 80),
        (INTERNET, 443),
        (KUBERNETES, 22),
    ],
)
def test_a_step_reaches_nothing_else(reaches, step, target, port):
    assert not reaches(step, target, port)


@pytest.mark.parametrize("source", [DRIVER, FORGED, NOTEBOOK, STRAY, CLINIC, REDIS])
@pytest.mark.parametrize(("target", "port"), [(MINIO, 9000), (SEAWEEDFS, 8333), (REDIS, 6379)])
def test_no_other_pod_reaches_the_stores(reaches, source, target, port):
    assert not reaches(source, target, port)


def test_workers_of_dask_reach_their_scheduler_each_other_and_the_store(reaches):
    for target, port in ((SCHEDULER, 8786), (WORKER, 8788), (MINIO, 9000), (DNS, 53)):
        assert reaches(WORKER, target, port)
    assert reaches(SCHEDULER, WORKER, 8788)
    for target, port in ((KFP, 8888), (KUBERNETES, 443), (INTERNET, 443), (REDIS, 6379)):
        assert not reaches(WORKER, target, port)
    assert not reaches(SCHEDULER, MINIO, 9000)


@pytest.mark.parametrize("source", [DRIVER, FORGED, NOTEBOOK, STRAY, CLINIC, REDIS, JOB, SERVING])
def test_no_other_pod_gives_work_to_dask(reaches, source):
    assert not reaches(source, SCHEDULER, 8786)
    assert not reaches(source, WORKER, 8788)


@pytest.mark.parametrize("source", [NOTEBOOK, KFP, MINIO, CLINIC, DRIVER])
def test_nothing_comes_in_to_a_step(reaches, source):
    assert not reaches(source, STEP, 8080)


def test_a_driver_in_our_namespace_reaches_kfp_and_not_our_store(reaches):
    for target, port in ((KFP, 8887), (LINEAGE, 8080), (ARTIFACTS, 8333), (KUBERNETES, 443)):
        assert reaches(OWN_DRIVER, target, port)
    assert not reaches(OWN_DRIVER, MINIO, 9000)
    assert not reaches(OWN_DRIVER, INTERNET, 443)


def test_the_pods_of_others_in_the_namespace_of_kfp_are_left_alone(reaches):
    assert reaches(DRIVER, INTERNET, 443)
    assert reaches(NOTEBOOK, DATABASE, 3306)


def test_jobs_and_serving_reach_the_store_alone(reaches):
    for source in (JOB, SERVING):
        assert reaches(source, MINIO, 9000)
        assert reaches(source, SEAWEEDFS, 8333)
        assert reaches(source, DNS, 53)
        for target, port in ((KFP, 8888), (KUBERNETES, 443), (INTERNET, 443)):
            assert not reaches(source, target, port)


def test_scores_are_for_the_namespaces_that_may_ask(reaches):
    assert reaches(CLINIC, SERVING, 8080)
    assert not reaches(NOTEBOOK, SERVING, 8080)
    assert not reaches(CLINIC, SERVING, 22)


FOLDERS = ("overlays/minio", "overlays/seaweedfs", "overlays/kind/champion", "phantom")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_jobs_carry_the_label(built, folder):
    jobs = [item for item in built(folder) if item["kind"] == "Job"]
    assert jobs
    for job in jobs:
        assert job["spec"]["template"]["metadata"]["labels"][STEP_LABEL] == "true"
