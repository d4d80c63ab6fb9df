"""The chain of a model that a whole run released: each object with another byte is named."""

import shutil

import pandas as pd
import pytest

from mammo_core.datasets.tables import read_table
from mammo_core.features.kinds import FRAME
from mammo_core.registry import champion
from mammo_core.registry.audit.audit import audit
from mammo_core.runs.forget import forget
from mammo_core.sources.kinds import TABLES
from mammo_core.store import open_store

pytestmark = pytest.mark.slow
NAME = "tiny"


@pytest.fixture
def store(undisturbed, tmp_path):
    """A copy of the store of the undisturbed run."""
    work, done = undisturbed
    assert done.code == 0, done.output
    shutil.copytree(work / "store", tmp_path / "store")
    return open_store((tmp_path / "store").as_uri())


#: What a model does not rest on: records of runs, feature files (the frame has what it took of
#: them), pointers, claims of versions, and notes that make work quick.
BESIDE = (
    *("runs/", "features/main/", "checkpoints/", "validations/", "pushes/"),
    *("features/assignments/current/", "features/assignments/lineages/"),
    *(f"models/{NAME}/claims/", f"models/{NAME}/released/", "tables/file-facts/"),
)


def test_each_object_of_a_real_chain_is_named(store):
    whole = audit(store, NAME, quiet=True)
    assert whole.faults == ()
    (version,) = whole.versions
    assert version.decision == "push" and version.outputs >= 10
    named, silent = set(), set()
    for key in [key for key in store.list("") if not key.startswith((".", "runs/"))]:
        data = store.read(key, 2**28)
        at = len(data) // 2
        store.write(key, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        faults = {fault.key for fault in audit(store, NAME, quiet=True).faults}
        (named if key in faults else silent).add(key)
        store.write(key, data)
    # Every object that the audit reads, and no part of the chain is left out.
    assert len(named) == whole.objects >= 80
    assert {key for key in silent if not key.startswith(BESIDE) and "/memos/" not in key} == set()


def test_a_patient_is_forgotten_and_the_chain_stays_whole(store):
    frame = FRAME.read(store, str(champion(store, NAME).lineage(store)["frame_id"]))
    images: pd.DataFrame = read_table(store, frame, "images.parquet")
    she = str(images.loc[images["split"] == "train", "patient_key"].iloc[0])
    result = forget(store, she, None)
    audited = audit(store, NAME, quiet=True)
    assert audited.faults == ()
    notes = audited.versions[0].notes
    assert all(result.tombstone in note for note in notes if "a patient was removed" in note)
    rewritten = {note.split(" was written again")[0] for note in notes}
    assert f"{FRAME.folder}/{frame.id}" in rewritten
    assert any(folder.startswith(f"{TABLES.folder}/") for folder in rewritten)
