"""Overlap of test patients and fitted patients, on small frames."""

import pandas as pd
import pytest

from mammo_core.features.data_checks.contamination import patient_overlap


def frame(rows, source="cbis_ddsm", manufacturer="hologic"):
    """Return images from lines like `image patient split`."""
    columns = ["image_id", "patient_key", "split"]
    table = pd.DataFrame([row.split() for row in rows], columns=columns, dtype="object")
    return table.assign(source=source, manufacturer=manufacturer)


OURS = ["i1 P_00001 train", "i2 P_00002 test", "i3 P_00003 test", "i4 P_00004 test"]


def test_training_and_validation_patients_count_but_not_test_patients():
    theirs = frame(["j2 P_00002 train", "j3 P_00003 validation", "j4 P_00004 test"])
    overlap = patient_overlap(frame(OURS), theirs)
    assert (overlap.test_patients, overlap.shared) == (3, {"P_00002", "P_00003"})
    assert not overlap.uncertainty


def test_the_same_split_has_no_overlap():
    overlap = patient_overlap(frame(OURS), frame(OURS))
    assert (overlap.test_patients, overlap.shared, overlap.uncertainty) == (3, frozenset(), "")


def test_a_patient_with_several_images_counts_once():
    ours = frame(["i1 P_00001 train", "i2 P_00002 test", "i3 P_00002 test"])
    theirs = frame(["i2 P_00002 train", "i3 P_00002 train", "i9 P_00002 train"])
    overlap = patient_overlap(ours, theirs)
    assert (overlap.test_patients, overlap.shared) == (1, {"P_00002"})


@pytest.mark.parametrize(
    ("ours", "theirs", "count"),
    [
        (("cbis_ddsm", "mammo pipelines"), ("cbis_ddsm", "mammo pipelines"), 3),
        (("cbis_ddsm", "mammo pipelines"), ("cbis_ddsm", "unknown"), 0),
        (("cbis_ddsm", "unknown"), ("cbis_ddsm", "icad"), 3),
        (("folders", "unknown"), ("cbis_ddsm", "hologic"), 3),  # the published pseudonyms
        (("folders", "unknown"), ("folders", "unknown"), 3),
        (("cbis_ddsm", "unknown"), ("inbreast", "siemens"), 0),
        (("cbis_ddsm", "unknown"), ("table", "siemens"), 0),
    ],
)
def test_pseudonyms_count_within_one_source(ours, theirs, count):
    other = frame(["j2 P_00002 train", "j3 P_00003 train", "j4 P_00004 train"], *theirs)
    overlap = patient_overlap(frame(OURS, *ours), other)
    assert len(overlap.shared) == count
    assert not overlap.uncertainty


def test_the_same_file_is_the_same_patient_under_any_key():
    theirs = frame(["i2 a3f0 train", "i3 a3f1 test"], source="table")
    overlap = patient_overlap(frame(OURS), theirs)
    assert overlap.shared == {"P_00002"}


KEYED = ["i1 0a train", "i2 0b test"]


@pytest.mark.parametrize(
    ("theirs", "site_keys", "shared", "uncertain"),
    [
        (["j1 0a train"], ("k1", "k1"), 0, False),
        (["j2 0b train"], ("k1", "k1"), 1, False),
        (["j9 0c train"], ("k1", "k2"), 0, True),
        (["i2 0c train"], ("k1", "k2"), 1, True),  # the same file
        (["j9 0c train"], ("k1", ""), 0, True),
        (["j9 0c train"], ("", ""), 0, True),
        # A common key proves the same site key: keys of 80 bits are not equal by chance.
        (["j1 0a test", "j9 0c train"], ("", ""), 0, False),
        (["j2 0b train"], ("k1", ""), 1, False),
    ],
)
@pytest.mark.parametrize("source", ["table", "folders"])
def test_keys_of_two_site_keys_cannot_be_compared(theirs, site_keys, shared, uncertain, source):
    overlap = patient_overlap(frame(KEYED, "table"), frame(theirs, source), site_keys)
    assert len(overlap.shared) == shared
    assert bool(overlap.uncertainty) is uncertain


def test_a_frame_may_lack_the_manufacturer():
    theirs = frame(["j2 P_00002 train"]).drop(columns="manufacturer")
    assert patient_overlap(frame(OURS), theirs).shared == {"P_00002"}
