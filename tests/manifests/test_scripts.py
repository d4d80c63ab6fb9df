import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_core.packaging import SigningKey, TrustPolicy

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def test_shellcheck_passes_on_every_script():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    scripts = [*sorted((REPOSITORY / "scripts").iterdir()), REPOSITORY / ".ci" / "run"]
    scripts.append(REPOSITORY / "images" / "install")
    shell = [path for path in scripts if path.read_bytes()[:2] == b"#!"]
    assert len(shell) >= 6
    done = subprocess.run(["shellcheck", *shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("up", "kind create cluster --name mammo"),
        ("up", "env/platform-agnostic\\?ref=2.17.0"),
        ("up", "nvidia.com~1gpu"),
        ("deploy", "kind load docker-image"),
        ("deploy", "scripts/copy-secrets kubeflow"),
        ("deploy", "job/seaweedfs-initialize"),
        ("deploy", "job/phantom"),
        ("run", "mammo pipeline run"),
        ("test", "job/champion"),
        ("down", "kind delete cluster --name mammo"),
    ],
)
def test_kind_prints_what_it_would_do(verb, text):
    line = [REPOSITORY / "scripts" / "kind", verb, "--dry-run"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert text in done.stdout


@pytest.mark.parametrize("words", [[], ["rise"], ["up", "--now"]])
def test_kind_tells_its_usage(words):
    line = [REPOSITORY / "scripts" / "kind", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("target", ["kind-up", "kind-deploy", "kind-run", "kind-test", "kind-down"])
def test_make_has_the_targets(target):
    line = ["make", "--dry-run", "--old-file=.venv/.installed", target, "DRY=--dry-run"]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert f"scripts/kind {target.partition('-')[2]} --dry-run" in done.stdout


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"REGISTRY": "r/m"}, "BASE=NAME@sha256:DIGEST; received python:3.11-slim-bookworm"),
        ({"REGISTRY": "r/m", "BASE": "python:3.11"}, "received python:3.11"),
        ({"REGISTRY": "r/m", "BASE": "python@sha256:12"}, "received python@sha256:12"),
        ({"BASE": f"python@sha256:{'0' * 64}"}, "REGISTRY=HOST/NAME; received none"),
    ],
)
def test_a_release_needs_its_base_by_digest_and_a_registry(variables, message):
    line = [REPOSITORY / "scripts" / "build-images", "--release", "abc"]
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert message in done.stderr


def _deploy(*words):
    line = [REPOSITORY / "scripts" / "deploy", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_deploy_prints_what_it_would_do_in_its_order():
    done = _deploy("--dry-run", "--tag", "abc1234", "--signed", "--load", "kind load docker-image")
    assert done.returncode == 0, done.stderr
    steps = (
        "scripts/make-secrets --store seaweedfs --signed",
        "kubectl apply -k manifests/secrets",
        "secret\\ generic\\ mammo-signing-key",
        "kind load docker-image mammo-pipelines/train:abc1234",
        "scripts/render-manifests\\ overlays/seaweedfs\\ abc1234",
        "manifests/overlays/kubeflow",
        "scripts/copy-secrets kubeflow",
        "complete --timeout=600s job/seaweedfs",
        "job/phantom",
        "mammo pipeline upload --signed",
        "mammo pipeline schedule create",
        "mammo doctor --signed",
    )
    places = [done.stdout.index(step) for step in steps]
    assert places == sorted(places)


def test_deploy_to_a_profile_lets_its_pods_in():
    words = ("--dry-run", "--overlay", "minio-tls", "--namespace", "team", "--tag", "a")
    done = _deploy(*words, "--skip", "phantom,schedules")
    assert "scripts/make-secrets --store minio --tls" in done.stdout
    for text in ("mammo-run-pods", "allow-to-minio"):
        (line,) = [line for line in done.stdout.splitlines() if f"{text} --type=json" in line]
        assert '\\"team\\"' in line
    assert "scripts/copy-secrets team" in done.stdout
    assert "doctor --namespace team" in done.stdout
    assert "phantom\\ a" not in done.stdout
    assert "schedule create" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--overlay", "none"], "expected a folder of manifests/overlays; received none"),
        (["--overlay", "base"], "has no object store: give its address with --store"),
        (["--now"], "unknown option --now"),
        (["--tag"], "--tag needs a value"),
    ],
)
def test_deploy_tells_what_is_wrong(words, message):
    done = _deploy(*words, "--dry-run") if words != ["--tag"] else _deploy(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_secrets_of_another_store_are_not_mixed(tmp_path):
    shutil.copy(REPOSITORY / "manifests" / "secrets" / "s3-data.env.example", tmp_path)
    line = [REPOSITORY / "scripts" / "make-secrets", "--store"]
    for store, code in (("seaweedfs", 0), ("seaweedfs", 0), ("minio", 1), ("ftp://a", 2)):
        done = subprocess.run([*line, store, tmp_path], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
    text = (tmp_path / "s3-data.env").read_text()
    assert text.startswith("MAMMO_S3_ENDPOINT=http://seaweedfs.mammo.svc.cluster.local:8333\n")


def test_a_signing_key_is_made_once_with_the_policy_that_trusts_it(tmp_path):
    for name in ("s3-release", "s3-upload"):
        shutil.copy(REPOSITORY / "manifests" / "secrets" / f"{name}.env.example", tmp_path)
    line = [REPOSITORY / "scripts" / "make-secrets", "--signed", tmp_path]
    for _ in range(2):
        subprocess.run(line, check=True, capture_output=True)
    key = SigningKey((tmp_path / "signing-key.pem").read_bytes())
    policy = TrustPolicy.read(tmp_path / "trust.yaml")
    assert policy.require(key.public_id(), "a model").name == "site"
    trust = "MAMMO_TRUST=/etc/mammo/trust/trust.yaml"
    assert trust in (tmp_path / "s3-release.env").read_text()
    assert trust not in (tmp_path / "s3-upload.env").read_text()
    assert (tmp_path / "signing-key.pem").stat().st_mode & 0o77 == 0


@pytest.fixture
def kubectl(tmp_path):
    """A command that answers `get` from a file and records what is applied."""
    program = tmp_path / "kubectl"
    program.write_text(
        f"""#!{sys.executable}
import json, pathlib, sys
folder, words = pathlib.Path({str(tmp_path)!r}), sys.argv[1:]
if "get" in words:
    names = json.loads((folder / "there.json").read_text())
    name = words[words.index("get") + 2]
    if name not in names:
        sys.exit(1)
    meta = {{"name": name, "namespace": "mammo", "uid": "1", "resourceVersion": "2"}}
    item = {{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {{"k": "dg=="}}}}
    print(json.dumps({{**item, "metadata": meta}}) if "json" in words else "Y2VydA==")
elif "create" in words:
    print("CA")
else:
    with (folder / "applied").open("a") as file:
        print(*words, sys.stdin.read().strip(), file=file)
"""
    )
    program.chmod(0o755)
    return program


def _copied(kubectl, names):
    (kubectl.parent / "there.json").write_text(json.dumps(names))
    line = [REPOSITORY / "scripts" / "copy-secrets", "kubeflow"]
    environment = {**os.environ, "KUBECTL": str(kubectl)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert "dg==" not in done.stdout + done.stderr
    return done, (kubectl.parent / "applied").read_text().splitlines()


ROLES = ("upload", "data", "train", "duel", "release", "score", "serve", "events", "admin")
NEEDED = [f"mammo-s3-{role}" for role in ("data", "train", "duel", "release", "score")]


def test_secrets_are_copied_by_name(kubectl):
    everything = [*(f"mammo-s3-{role}" for role in ROLES), "mammo-site-key", "mammo-online"]
    done, applied = _copied(kubectl, [*everything, "minio-root", "redis", "minio-tls"])
    assert done.returncode == 0, done.stderr
    secrets = [line for line in applied if "Secret" in line]
    assert all(line.startswith("-n kubeflow apply -f -") for line in secrets)
    objects = [json.loads(line[line.index("{") :]) for line in secrets]
    names = [item["metadata"]["name"] for item in objects]
    assert names == [*NEEDED, "mammo-site-key", "mammo-online"]
    # Nothing of the old object but its name and labels.
    assert all(set(item["metadata"]) == {"name", "labels"} for item in objects)
    assert [line for line in applied if line.endswith("CA")] == [
        "-n mammo apply -f - CA",
        "-n kubeflow apply -f - CA",
    ]


def test_a_missing_secret_ends_the_copy(kubectl):
    done, _ = _copied(kubectl, NEEDED[:-1])
    assert done.returncode != 0


def test_debian_packages_are_in_the_sbom(tmp_path):
    bill = tmp_path / "data.json"
    bill.write_text(json.dumps({"bomFormat": "CycloneDX", "components": [{"name": "pydicom"}]}))
    listed = "libc6\t2.36-9+deb12u13\tamd64\tglibc\t2.36-9+deb12u13\n"
    line = [sys.executable, REPOSITORY / "images" / "debian_packages.py", bill, "python@sha256:1"]
    subprocess.run(line, input=listed, text=True, check=True, capture_output=True)
    written = json.loads(bill.read_text())
    assert [item["name"] for item in written["components"]] == ["pydicom", "libc6"]
    # Encoded as the specification of package URLs says: "+" is "%2B".
    purl = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64"
    assert written["components"][1]["purl"] == purl
    assert written["metadata"]["properties"] == [
        {"name": "mammo:base image", "value": "python@sha256:1"}
    ]
    done = subprocess.run(line, input="", text=True, check=False, capture_output=True)
    assert done.returncode == 1
    assert "no Debian package" in done.stderr
