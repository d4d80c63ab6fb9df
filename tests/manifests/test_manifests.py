import json
import re
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path

import kubernetes_validate
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
FOLDERS = (
    "base",
    "secrets",
    "overlays/minio",
    "overlays/minio-tls",
    "overlays/minio-cert-manager",
    "overlays/seaweedfs",
    "overlays/seaweedfs-tls",
    "overlays/seaweedfs-cert-manager",
    "overlays/kubeflow",
    "overlays/kind",
    "overlays/kind/champion",
    "phantom",
    "overlays/gpu",
    "overlays/kserve",
    "overlays/redis",
    "overlays/dask",
)
#: Of KServe and cert-manager: no schema of Kubernetes.
CUSTOM = ("InferenceService", "Issuer", "Certificate")
#: Of Kubernetes; newer clusters take what is valid here.
VERSION = "1.34"


def _pods(objects):
    """Name and spec of every pod that the objects make."""
    for item in objects:
        kind, name = item["kind"], item["metadata"]["name"]
        if kind == "Pod":
            yield name, item["spec"]
        elif kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            yield name, item["spec"]["template"]["spec"]
        elif kind == "CronJob":
            yield name, item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif kind == "InferenceService":
            yield name, item["spec"]["predictor"]


def test_valid_in_strict_mode(built):
    # Overlays repeat the objects of the base: each is validated once.
    objects = {
        json.dumps(item, sort_keys=True): item
        for folder in FOLDERS
        for item in built(folder)
        if item["kind"] not in CUSTOM
    }
    assert len(objects) > 30
    for item in objects.values():
        kubernetes_validate.validate(item, VERSION, strict=True)


def violations(spec: dict) -> list[str]:
    """What the restricted profile of Pod Security forbids in a pod.

    Source: Kubernetes documentation, Pod Security Standards, profile Restricted.
    """
    violations = []
    pod = spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            violations.append(key)
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "secret", "projected"}
    allowed |= {"persistentVolumeClaim"}
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        violations += [f"volume {volume['name']}: {kind}" for kind in kinds - allowed]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        context = container.get("securityContext", {})
        name = container["name"]
        if context.get("privileged"):
            violations.append(f"{name}: privileged")
        if context.get("allowPrivilegeEscalation") is not False:
            violations.append(f"{name}: allowPrivilegeEscalation")
        if "ALL" not in context.get("capabilities", {}).get("drop", []):
            violations.append(f"{name}: capabilities")
        if set(context.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            violations.append(f"{name}: added capabilities")
        if not context.get("runAsNonRoot", pod.get("runAsNonRoot")):
            violations.append(f"{name}: runAsNonRoot")
        if context.get("runAsUser", pod.get("runAsUser", 0)) == 0:
            violations.append(f"{name}: runAsUser")
        profile = context.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            violations.append(f"{name}: seccompProfile")
        for port in container.get("ports", []):
            if port.get("hostPort"):
                violations.append(f"{name}: hostPort")
    return violations


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_pod_passes_the_restricted_profile(built, folder):
    for name, spec in _pods(built(folder)):
        assert violations(spec) == [], name
        # More than the profile asks: nothing but the scratch volumes can be written.
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"], name
            assert container["resources"]["requests"], name
            assert container["resources"]["limits"]["memory"], name
        assert spec["automountServiceAccountToken"] is False, name


def test_the_check_sees_a_pod_that_breaks_the_profile():
    bad = {
        "hostNetwork": True,
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        "containers": [{"name": "a", "image": "b"}],
    }
    assert set(violations(bad)) == {
        "hostNetwork",
        "volume host: hostPath",
        "a: allowPrivilegeEscalation",
        "a: capabilities",
        "a: runAsNonRoot",
        "a: runAsUser",
        "a: seccompProfile",
    }


def test_the_namespace_enforces_the_restricted_profile(built):
    (namespace,) = [item for item in built("base") if item["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("folder", FOLDERS)
def test_images_are_ours_or_by_digest(built, folder):
    for name, spec in _pods(built(folder)):
        for container in spec["containers"]:
            image = container["image"]
            ours = re.fullmatch(r"mammo-pipelines/(data|train):unset", image)
            assert ours or re.search(r"@sha256:[0-9a-f]{64}$", image), (name, image)


def test_every_rule_of_the_network_names_pods_and_ports(built):
    objects = [item for folder in FOLDERS for item in built(folder)]
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert [item for item in policies if item["spec"] == closed]
    for item in policies:
        name, spec = item["metadata"]["name"], item["spec"]
        for rule in [*spec.get("egress", []), *spec.get("ingress", [])]:
            assert rule["ports"], name
            for peer in rule.get("to", rule.get("from")):
                if "ipBlock" in peer:  # the Kubernetes API
                    assert ip_network(peer["ipBlock"]["cidr"]).is_private, name
                    assert {entry["port"] for entry in rule["ports"]} <= {443, 6443}, name
                    continue
                # Whole namespaces may ask for scores alone.
                assert peer.get("podSelector") or name == "allow-to-serving", name


def test_services_and_budgets_select_the_pods(built):
    for folder, kind in (
        ("overlays/minio", "StatefulSet"),
        ("overlays/seaweedfs", "StatefulSet"),
        ("overlays/redis", "Deployment"),
    ):
        objects = built(folder)
        (server,) = [item for item in objects if item["kind"] == kind]
        labels = server["spec"]["template"]["metadata"]["labels"]
        (service,) = [item for item in objects if item["kind"] == "Service"]
        (budget,) = [item for item in objects if item["kind"] == "PodDisruptionBudget"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert server["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_every_server_has_probes_of_both_kinds(built):
    servers = [
        container
        for folder in (
            *("overlays/minio", "overlays/minio-tls", "overlays/redis", "overlays/kserve"),
            *("overlays/seaweedfs", "overlays/seaweedfs-tls"),
        )
        for item in built(folder)
        if item["kind"] in ("StatefulSet", "Deployment", "InferenceService")
        for _, spec in _pods([item])
        for container in spec["containers"]
    ]
    assert len(servers) == 6
    assert all({"readinessProbe", "livenessProbe"} <= set(container) for container in servers)


def test_the_namespace_has_a_quota_and_requests_by_default(built):
    objects = {item["kind"]: item for item in built("base")}
    assert {"pods", "requests.cpu", "requests.memory"} <= set(
        objects["ResourceQuota"]["spec"]["hard"]
    )
    (limit,) = objects["LimitRange"]["spec"]["limits"]
    assert set(limit["defaultRequest"]) == {"cpu", "memory"}
    # Otherwise no pod would be refused for having no limit.
    assert "default" not in limit


def test_no_secret_is_on_a_command_line(built):
    for folder in FOLDERS:
        for name, spec in _pods(built(folder)):
            for container in spec["containers"]:
                line = " ".join([*container.get("command", []), *container.get("args", [])])
                assert not re.search(r"--requirepass|--(secret|password)", line), (folder, name)


def test_a_run_may_do_little(built):
    (role,) = [item for item in built("base") if item["kind"] == "Role"]
    assert role["metadata"]["name"] == "mammo-run"
    for rule in role["rules"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        if "secrets" in rule["resources"]:
            assert rule["resourceNames"] == ["mlpipeline-minio-artifact"]
            assert rule["verbs"] == ["get"]


def test_no_secret_is_in_the_tree():
    tracked = subprocess.run(
        ["git", "ls-files", "manifests"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not [name for name in tracked if name.endswith(".env")]
    for name in tracked:
        if name.endswith(".env.example"):
            for line in (REPOSITORY / name).read_text().splitlines():
                key, _, value = line.partition("=")
                assert value == "" or not re.search("SECRET|PASSWORD|SITE_KEY", key), name


def test_secrets_are_made_once(manifests):
    folder = manifests / "secrets"
    before = {path.name: path.read_text() for path in folder.glob("*.env")}
    assert len(before) == 14
    script = REPOSITORY / "scripts" / "make-secrets"
    done = subprocess.run([script, folder], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert {path.name: path.read_text() for path in folder.glob("*.env")} == before
    values = [line.partition("=")[2] for text in before.values() for line in text.splitlines()]
    generated = [value for value in values if re.fullmatch("[0-9a-f]{64}", value)]
    assert len(generated) == len(set(generated)) == 14
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.glob("*.env"))


def test_secrets_for_a_store_with_tls(tmp_path):
    for example in (REPOSITORY / "manifests" / "secrets").glob("s3-*.env.example"):
        shutil.copy(example, tmp_path)
    script = REPOSITORY / "scripts" / "make-secrets"
    subprocess.run([script, "--tls", tmp_path], check=True, capture_output=True)
    files = list(tmp_path.glob("*.env"))
    assert len(files) == 10
    for path in files:
        lines = path.read_text().splitlines()
        assert lines[0] == "MAMMO_S3_ENDPOINT=https://minio.mammo.svc.cluster.local:9000"
        assert lines[1] == "MAMMO_CA_BUNDLE=/etc/mammo/ca/ca.crt"


def test_rendering_puts_the_tag_in(manifests):
    script = REPOSITORY / "scripts" / "render-manifests"
    line = [script, "overlays/kind", "abc1234", "registry.example/mammo"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "image: registry.example/mammo/data:abc1234\n" in done.stdout
    assert "unset" not in done.stdout


def test_pods_that_open_packages_have_the_trust_policy(built):
    for folder in ("overlays/kserve", "overlays/kind/champion"):
        for name, spec in _pods(built(folder)):
            volumes = {volume["name"]: volume for volume in spec["volumes"]}
            assert volumes["trust"]["configMap"] == {"name": "mammo-trust", "optional": True}, name
            (container,) = spec["containers"]
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts["trust"] == "/etc/mammo/trust"
            # The Secret of the role names the file: without it, MAMMO_TRUST is an error.
            assert {"secretRef": {"name": "mammo-s3-serve"}} in container["envFrom"]
