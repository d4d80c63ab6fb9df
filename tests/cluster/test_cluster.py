import pytest
import yaml

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.mark.parametrize(
    "folder", ["base", "overlays/gpu", "overlays/redis", "overlays/minio", "overlays/kind"]
)
def test_every_overlay_applies(kubectl, secrets, rendered, folder):
    kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=rendered(folder))


def test_what_needs_absent_definitions_applies_but_for_that(kubectl, secrets, rendered):
    parts = [part for part in yaml.safe_load_all(rendered("overlays/kserve")) if part]
    known = [part for part in parts if part["kind"] != "InferenceService"]
    assert len(known) == len(parts) - 1
    text = yaml.safe_dump_all(known)
    kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=text)


def test_minio_comes_up_and_is_initialized(kubectl, minio):
    output = kubectl("-n", "mammo", "logs", "job/minio-initialize")
    for role in ("data", "train", "score", "serve"):
        assert f"user mammo-{role}: policy mammo-{role}" in output


def test_a_step_of_the_data_image_works_with_the_credentials_of_its_secret(job):
    script = (
        "mammo phantom create /scratch/p --patients 8 --seed 1 --size 192x150 --layout original"
        " && mammo store put /scratch/p s3://mammo-sources/phantom"
        " && mammo store ls s3://mammo-sources/phantom | tail -n 2 && id -u"
    )
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
        'tfio.load(); store = open_store("s3://mammo"); store.write("tests/tfio", b"1"); '
        'print(store.read("tests/tfio"))'
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
