"""Test patients that a package learned from, on frames made by hand."""

import pandas as pd
import pytest

from mammo_core.features.contamination import patient_overlap


def frame(rows, source="cbis_ddsm", manufacturer="hologic"):
    """Images from `image patient split` lines."""
    columns = ["image_id", "patient_key", "split"]
    table = pd.DataFrame([row.split() for row in rows], columns=columns, dtype="object")
    return table.assign(source=source, manufacturer=manufacturer)


OURS = ["i1 P_00001 train", "i2 P_00002 test", "i3 P_00003 test", "i4 P_00004 test"]


def test_training_and_validation_count_and_test_does_not():
    theirs = frame(["j2 P_00002 train", "j3 P_00003 validation", "j4 P_00004 test"])
    found = patient_overlap(frame(OURS), theirs)
    assert (found.test_patients, found.seen) == (3, {"P_00002", "P_00003"})
    assert not found.unknown


def test_the_same_split_has_no_overlap():
    found = patient_overlap(frame(OURS), frame(OURS))
    assert (found.test_patients, found.seen, found.unknown) == (3, frozenset(), "")


def test_a_patient_counts_once_however_many_images_she_has():
    ours = frame(["i1 P_00001 train", "i2 P_00002 test", "i3 P_00002 test"])
    theirs = frame(["i2 P_00002 train", "i3 P_00002 train", "i9 P_00002 train"])
    found = patient_overlap(ours, theirs)
    assert (found.test_patients, found.seen) == (1, {"P_00002"})


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
def test_pseudonyms_count_within_one_collection(ours, theirs, count):
    other = frame(["j2 P_00002 train", "j3 P_00003 train", "j4 P_00004 train"], *theirs)
    found = patient_overlap(frame(OURS, *ours), other)
    assert len(found.seen) == count
    assert not found.unknown


def test_the_same_file_is_the_same_patient_whatever_she_is_called():
    theirs = frame(["i2 a3f0 train", "i3 a3f1 test"], source="table")
    found = patient_overlap(frame(OURS), theirs)
    assert found.seen == {"P_00002"}


KEYED = ["i1 0a train", "i2 0b test"]


@pytest.mark.parametrize(
    ("theirs", "site_keys", "seen", "unknown"),
    [
        (["j1 0a train"], ("k1", "k1"), 0, False),
        (["j2 0b train"], ("k1", "k1"), 1, False),
        (["j9 0c train"], ("k1", "k2"), 0, True),
        (["i2 0c train"], ("k1", "k2"), 1, True),  # the file gives her away
        (["j9 0c train"], ("k1", ""), 0, True),
        (["j9 0c train"], ("", ""), 0, True),
        # Not noted, but a key in common is the same site key: 80 bits do not meet by chance.
        (["j1 0a test", "j9 0c train"], ("", ""), 0, False),
        (["j2 0b train"], ("k1", ""), 1, False),
    ],
)
@pytest.mark.parametrize("source", ["table", "folders"])
def test_keys_of_two_site_keys_cannot_be_compared(theirs, site_keys, seen, unknown, source):
    found = patient_overlap(frame(KEYED, "table"), frame(theirs, source), site_keys)
    assert len(found.seen) == seen
    assert bool(found.unknown) is unknown


def test_frames_of_earlier_revisions_lack_columns():
    theirs = frame(["j2 P_00002 train"]).drop(columns="manufacturer")
    assert patient_overlap(frame(OURS), theirs).seen == {"P_00002"}
