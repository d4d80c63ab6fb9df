"""Whom a package was fitted to stays known over generations, though frames are gone."""

import pandas as pd
import pytest

from mammo_core.packaging.patient_list import PATIENTS, PatientList, patient_list
from mammo_core.registry.lineage.ancestry import Ancestry, FittedFrame, ancestry
from mammo_core.registry.lineage.contamination import contamination_of
from mammo_core.registry.lineage.fitted_patients import fitted_lineage, fitted_patients
from mammo_core.runs import read_start_packages
from tests.support.registry_fixtures import put_version

FAR, NEAR = "f" * 32, "e" * 32


def table(numbers, split, source="cbis_ddsm", prefix="P"):
    return pd.DataFrame(
        {
            "image_id": [f"{source}-{prefix}-{at}" for at in numbers],
            "patient_key": [f"{prefix}_{at:05d}" for at in numbers],
            "source": source,
            "manufacturer": "hologic",
            "split": split,
        }
    )


def put_package(store, name, listed, lineage):
    model_id = name[0] * 64
    return put_version(store, name, 1, lineage, model_id, {PATIENTS: listed.model_dump()})


def ancestry_at(store, uri):
    return ancestry(uri, store, read_start_packages)


@pytest.fixture
def far(file_store):
    """A package whose frame is in no store here."""
    listed = patient_list(FAR, table(range(5), "train"))
    lineage = {"frame_id": FAR, "fitted_frames": [FAR], "fitted_unknown": []}
    return put_package(file_store, "far", listed, lineage)


def test_a_model_started_from_it_knows_its_patients_after_its_own_frame_is_gone(file_store, far):
    origin = ancestry_at(file_store, far)
    images = table(range(5, 10), "train")
    listed = fitted_patients(NEAR, images, "", origin)
    lineage = {"frame_id": NEAR, **fitted_lineage(origin)}
    assert lineage["fitted_frames"] == [FAR] and not lineage["fitted_unknown"]
    lineage["fitted_frames"] = sorted([*lineage["fitted_frames"], NEAR])
    uri = put_package(file_store, "near", listed, lineage)
    result = contamination_of(
        table(range(20), "test"), "", uri, "start package", ancestry_at(file_store, uri)
    )
    assert result.shared == {f"P_{at:05d}" for at in range(10)}
    assert not result.unknown and result.state == "contaminated"
    # Another generation: nothing is forgotten.
    grandchild = fitted_patients("d" * 32, table([10], "train"), "", ancestry_at(file_store, uri))
    assert len(grandchild.patients_in(table(range(20), "test"), ("train",))) == 11
    assert grandchild.frame_ids() == {FAR, NEAR, "d" * 32}
    assert PatientList.model_validate_json(grandchild.model_dump_json()) == grandchild


def test_frames_of_another_site_key_are_said_to_be_not_comparable(file_store):
    theirs = FittedFrame("old/1", FAR, table(range(5), "train", "table", "key"), "site-one")
    listed = fitted_patients(
        NEAR, table([7], "train", "table"), "site-two", Ancestry((theirs,), ())
    )
    assert listed.site_key == "site-two" and listed.earlier[0].site_key == "site-one"
    assert listed.has_other_keys("site-two") and listed.has_other_keys("site-one")
    assert not listed.has_other_keys("")
    # The same files are the same patients all the same.
    again = table(range(5), "test", "table", "key").assign(patient_key="of another key")
    assert listed.patients_in(again, ("train",)) == {"of another key"}
    origin = Ancestry((), (), (("old/2", listed),))
    result = contamination_of(table([1], "test", "table"), "site-two", "uri", "champion", origin)
    assert result.state == "unknown" and "another site key" in result.unknown[0]


def test_frames_of_one_site_key_are_in_one_list():
    theirs = FittedFrame("old/1", FAR, table(range(3), "validation"), "")
    listed = fitted_patients(NEAR, table([7], "train"), "", Ancestry((theirs,), ("a text",)))
    assert not listed.earlier and "earlier" not in listed.model_dump()
    assert listed.unknown == ("a text",)
    assert len(listed.patients_in(table(range(9), "test"), ("train", "validation"))) == 4
