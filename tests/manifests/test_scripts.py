import shutil
import subprocess
from pathlib import Path

import pytest

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
        ("deploy", "job/minio-initialize job/phantom"),
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
