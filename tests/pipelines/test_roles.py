"""The roles in the object store; tests/manifests/test_initialize.py tries them on MinIO."""

import json

import pytest

from mammo_core.runs.kinds import KINDS
from mammo_core.training.kinds import CHECKPOINTS
from pipelines.platform import STEPS
from pipelines.reference import POLICIES
from pipelines.roles import PLACES, ROLES, policy_files, policy_of, role_table, secret_of

#: Folder of a kind → the pod that makes its outputs.
MAKERS = {
    "tables": "index",
    "datasets/images": "prepare-data",
    "datasets/patches": "prepare-data",
    "frames": "prepare-data",
    "features/assignments": "prepare-data",
    "validations": "prepare-data",
    "new-images": "index-new",
    "trainings/patch": "train",
    "trainings/image": "train",
    "evaluations": "train",
    "regions": "regions",
    "candidates": "train",
    "duels": "duel",
    "duels/scores": "duel",
    "gates": "release",
    "pushes": "release",
    "scores": "score",
    "acceptances": "score",  # no step: `mammo accept`, with the Secret of that role
}


def _writes(role: str, key: str) -> bool:
    return any(
        bucket == "mammo" and key.startswith(prefix)
        for name in ROLES[role].writes
        for bucket, prefix in PLACES[name]
    )


@pytest.mark.parametrize("folder", sorted(set(KINDS) - {"experiments", "trials"}))
def test_a_kind_belongs_to_the_role_of_the_step_that_makes_it(folder):
    writers = [role for role in ROLES if _writes(role, f"{folder}/0/manifest.json")]
    assert writers == [STEPS[MAKERS[folder]].role]


@pytest.mark.parametrize("step", ["train", "train-network"])
def test_a_training_writes_its_checkpoints(step):
    assert _writes(STEPS[step].role, f"{CHECKPOINTS}/trainings/image/0/latest.json")


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_a_role_that_writes_the_record_of_the_run(step):
    assert _writes(STEPS[step].role, "runs/r1/steps/a.json")


def test_the_policies_in_the_manifests_are_those_of_the_roles():
    files = {path.name: path.read_text() for path in POLICIES.glob("*.json")}
    assert files == policy_files(), "run `make reference`"


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
def test_no_role_but_admin_has_a_whole_service_or_every_bucket(role):
    text = json.dumps(policy_of(role))
    assert '"s3:*"' not in text
    assert '"arn:aws:s3:::*"' not in text
    assert '"arn:aws:s3:::mammo/*"' not in text


def test_the_table_has_a_row_for_each_secret():
    rows = [line for line in role_table().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [secret_of(role) for role in ROLES]
