import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
FOLDERS = (
    "base",
    "secrets",
    "overlays/minio",
    "overlays/kind",
    "overlays/kind/champion",
    "overlays/gpu",
    "overlays/kserve",
    "overlays/redis",
)
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


@pytest.mark.parametrize("folder", FOLDERS)
def test_valid_in_strict_mode(built, folder):
    for item in built(folder):
        if item["kind"] == "InferenceService":  # a CRD of KServe: no schema of Kubernetes
            continue
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


def _policies(objects):
    return {
        item["metadata"]["name"]: item["spec"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
    }


def test_the_network_is_closed_but_for_what_is_said(built):
    policies = _policies(built("overlays/minio"))
    assert policies["deny-by-default"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    opened = {name: spec for name, spec in policies.items() if name != "deny-by-default"}
    assert set(opened) == {"allow-dns", "allow-object-store", "allow-kfp", "allow-to-minio"}
    for name, spec in opened.items():
        for rule in [*spec.get("egress", []), *spec.get("ingress", [])]:
            assert rule["ports"], name
            for peer in rule.get("to", rule.get("from")):
                assert peer, name  # an empty peer is everybody
                if "ipBlock" in peer:
                    assert peer["ipBlock"]["cidr"] != "0.0.0.0/0", name


def test_the_selectors_fit_the_pods(built):
    objects = built("overlays/minio")
    (minio,) = [item for item in objects if item["kind"] == "StatefulSet"]
    labels = minio["spec"]["template"]["metadata"]["labels"]
    selector = _policies(objects)["allow-to-minio"]["podSelector"]["matchLabels"]
    assert selector.items() <= labels.items()
    (service,) = [item for item in objects if item["kind"] == "Service"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert minio["spec"]["selector"]["matchLabels"].items() <= labels.items()


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
    assert len(before) == 7
    script = REPOSITORY / "scripts" / "make-secrets"
    done = subprocess.run([script, folder], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert {path.name: path.read_text() for path in folder.glob("*.env")} == before
    values = [line.partition("=")[2] for text in before.values() for line in text.splitlines()]
    generated = [value for value in values if re.fullmatch("[0-9a-f]{64}", value)]
    assert len(generated) == len(set(generated)) == 7
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.glob("*.env"))


def test_rendering_puts_the_tag_in(manifests):
    script = REPOSITORY / "scripts" / "render-manifests"
    line = [script, "overlays/kind", "abc1234", "registry.example/mammo"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "image: registry.example/mammo/data:abc1234\n" in done.stdout
    assert "unset" not in done.stdout
