"""Days of exams from an anchor that never moves, and results that count by their day."""

import gzip
from datetime import date

import numpy as np

from mammo_core.datasets.outputs import make_output
from mammo_core.sources import SourceFiles, index
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.identity.exam_days import ExamDays
from mammo_core.sources.identity.label_windows import LabelsConfig
from mammo_core.sources.source_index import listing_digest, make_tables
from mammo_core.store import open_store
from tests.support.exam_files import HEADER, STUDY, site_key, table, write_dicom

__all__ = ["site_key", "table"]


def test_days_count_from_an_anchor_that_never_moves(tmp_path):
    store = open_store(str(tmp_path / "store"))
    exams = {
        ("p", "b"): date(2012, 3, 1),
        ("p", "c"): date(2014, 3, 1),
        ("q", "d"): date(2013, 1, 1),
    }
    read = []

    def assign(exams):
        def reader(exam, day):
            return lambda: read.append(exam) or day

        return ExamDays(store).assign({exam: reader(exam, day) for exam, day in exams.items()}, "k")

    assert assign(exams) == {("p", "b"): 0, ("p", "c"): 730, ("q", "d"): 0}
    read.clear()
    assert assign(exams) == {("p", "b"): 0, ("p", "c"): 730, ("q", "d"): 0}
    assert not read  # known exams are not read again
    # An older exam that is labeled later has a negative day; the first exam is gone.
    later = {("p", "a"): date(2010, 3, 1), ("p", "c"): date(2014, 3, 1)}
    assert assign(later) == {("p", "a"): -731, ("p", "c"): 730}
    assert assign({("p", "b"): date(2012, 3, 1)}) == {("p", "b"): 0}
    # Without an exam whose day is known, the anchor cannot be labeled, and does not move.
    assert assign({("p", "e"): date(2020, 1, 1)}) == {("p", "e"): None}
    assert assign({("p", "e"): date(2020, 1, 1), ("p", "a"): date(2010, 3, 1)}) == {
        ("p", "e"): 2862,
        ("p", "a"): -731,
    }
    assert assign({("r", "f"): None}) == {("r", "f"): None}
    assert ExamDays(store).assign({("p", "c"): lambda: date(2014, 3, 1)}, "other key") == {
        ("p", "c"): 0
    }


def test_an_index_keeps_days_and_no_date(table, tmp_path):
    store = open_store(str(tmp_path / "store"))
    rows = []

    def days(*exams):
        rows.clear()
        for number, (study, day) in enumerate(exams):
            write_dicom(table.images / f"{study}.dcm", number, study=study, day=day)
            rows.append(f"{study}.dcm,Zz-1,L,CC,0")
        files = SourceFiles.open(str(table.images))
        files.exam_days = ExamDays(store)
        tables = index(table(HEADER, *rows), files=files)
        return dict(zip(tables.images["path"], tables.images["exam_day"], strict=True))

    assert days(("1", "20120301"), ("2", "20140301")) == {"1.dcm": 0, "2.dcm": 730}
    assert days(("2", "20140301"), ("3", "20100301")) == {"2.dcm": 730, "3.dcm": -731}
    assert np.isnan(days(("4", "19000101"))["4.dcm"])  # a placeholder is no date
    for key in store.list(""):
        text = gzip.decompress(store.read(key)).decode()
        assert not any(word in text for word in ("2012", "2014", "2010", STUDY, "Zz-1"))


def test_a_dated_result_counts_for_the_exams_shortly_before_it(table):
    """The window of labels.window_days; outside it a label is unknown, never negative."""
    exams = {
        "1": ("20100101", "unknown", ""),  # two years before the result: unknown
        "2": ("20120110", "unknown", ""),  # 50 days before it: malignant
        "3": ("20120220", "1", "2012-02-29"),  # its own exam
        "4": ("20150101", "0", "2012-02-29"),  # after the result: unknown
        "5": ("20160101", "0", "2016-06-01"),  # a benign result in the window
        "6": ("20180101", "0", "2020-01-01"),  # a benign result outside it: unknown
        "7": ("20190101", "0", ""),  # a statement about the image
        "8": ("", "0", "2016-06-01"),  # a result without the day of its exam: unknown
    }
    rows = []
    for number, (study, (day, label, result)) in enumerate(exams.items()):
        write_dicom(table.images / f"{study}.dcm", number, study=study, day=day)
        rows.append(f"{study}.dcm,Zz-1,L,CC,{label},{result},mass,0 0 9 9")
    write_dicom(table.images / "right.dcm", 99, study="2", day="20120110", side="R")
    rows.append("right.dcm,Zz-1,R,CC,0,,,")
    source = table(f"{HEADER},pathology_date,lesion_type,lesion_box", *rows)

    def labels(window):
        tables = index(source, labels=LabelsConfig(window_days=window))
        causes = set(tables.rejects["cause"])
        assert causes <= {"unknown_label"}
        labeled = dict(zip(tables.images["path"], tables.images["malignant"], strict=True))
        left_out = dict(zip(tables.rejects["item"], tables.rejects["reason"], strict=True))
        # A lesion without a pathology of its own is what its image is.
        by_id = tables.images.set_index("image_id")["malignant"]
        assert list(tables.lesions["malignant"]) == list(tables.lesions["image_id"].map(by_id))
        assert tables.facts["left_out"].get("unknown_label", 0) == len(left_out)
        return {path.removesuffix(".dcm"): label for path, label in labeled.items()}, left_out

    labeled, left_out = labels(365)
    assert labeled == {"2": 1, "3": 1, "5": 0, "7": 0, "right": 0}
    assert set(left_out) == {"1.dcm", "4.dcm", "6.dcm", "8.dcm"}
    assert "an exam without one" in left_out["8.dcm"]
    assert "730 days after" in left_out["6.dcm"]
    assert labels(30)[0] == {"3": 1, "7": 0, "right": 0}
    unlinked = {"3": 1, "4": 0, "5": 0, "6": 0, "7": 0, "8": 0, "right": 0}
    assert labels(None)[0] == unlinked


def test_published_tables_count_faults_apart_from_what_is_left_out(table, tmp_path):
    store = open_store(str(tmp_path / "store"))
    write_dicom(table.images / "0.dcm", 0, day="20120301")
    write_dicom(table.images / "1.dcm", 1, view="ML")
    source = table(HEADER, "0.dcm,Zz-1,L,CC,0", "1.dcm,Zz-1,L,ML,0")
    manifest = make_output(store, "tables/of-own", lambda attempt: make_tables(attempt, source))
    assert (manifest.counts["rejects"], manifest.counts["left_out"]) == (0, 1)
    (days,) = store.list("tables/exam-days/")
    assert b"2012" not in gzip.decompress(store.read(days))
    digests = {
        listing_digest(source, source.files(), policy)
        for policy in (None, ImagePolicy(), ImagePolicy(views="accept"))
    }
    assert len(digests) == 2  # another policy is another index
