"""Marks on heatmaps, and what they find."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mammo_core.evaluation.localization.marks import hits, marks_of, match
from mammo_core.evaluation.localization.measure import (
    ShownLesion,
    ShownView,
    measure_localization,
)
from mammo_core.evaluation.localization.views import Heater, one_image_per_view, shown_views
from mammo_core.evaluation.report.lesions import lesions as lesions_section
from mammo_core.reporting import Page
from mammo_core.store import open_store

SHAPE = (60, 50)


def blob(row, column, height, radius=6):
    """A cone of heat."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(rows - row, columns - column)
    return np.clip(height * (1 - distance / (2 * radius)), 0, None).astype(np.float32)


def disk(row, column, radius):
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - row, columns - column) <= radius


def test_marks_are_the_local_maxima_with_their_surroundings():
    heat = np.maximum(blob(15, 12, 0.9), blob(40, 30, 0.5))
    first, second = marks_of(heat, distance=5)
    assert (first.row, first.column, second.row, second.column) == (15, 12, 40, 30)
    assert (first.score, second.score) == pytest.approx((0.9, 0.5))
    # At least half of its heat: a disk of the radius.
    region = np.zeros(SHAPE, bool)
    region[first.box] = first.region
    assert (region == disk(15, 12, 6)).mean() > 0.995
    assert len(marks_of(heat, distance=5, limit=1)) == 1
    assert len(marks_of(heat, distance=5, floor=0.6)) == 1
    assert marks_of(np.zeros(SHAPE), distance=5) == []


def test_marks_at_the_edges_count():
    (mark,) = marks_of(blob(0, 49, 0.8), distance=5)
    assert (mark.row, mark.column) == (0, 49)


def test_two_near_maxima_are_one_mark():
    heat = np.maximum(blob(20, 20, 0.9, 3), blob(20, 24, 0.8, 3))
    assert len(marks_of(heat, distance=8)) == 1 and len(marks_of(heat, distance=2)) == 2


def test_center_and_overlap():
    (mark,) = marks_of(blob(20, 20, 0.9), distance=5)
    assert hits(mark, disk(22, 20, 3), "center") and hits(mark, disk(22, 20, 3), "overlap")
    # A lesion beside the highest point, but inside the region.
    assert not hits(mark, disk(23, 23, 2), "center") and hits(mark, disk(23, 23, 2), "overlap")
    assert not hits(mark, disk(40, 40, 5), "center")
    assert not hits(mark, disk(40, 40, 5), "overlap")
    # A lesion around it that has little in common with its region.
    ring = disk(20, 20, 15) & ~disk(20, 20, 5)
    assert not hits(mark, ring, "center") and not hits(mark, ring, "overlap")
    # An empty mask is no lesion to hit.
    assert not hits(mark, np.zeros(SHAPE, bool), "overlap")


def test_matching_by_hand():
    marks = marks_of(np.maximum(blob(15, 12, 0.9), blob(40, 30, 0.5)), distance=5)
    scores, false = match(marks, [disk(40, 30, 3), disk(5, 45, 3)], "center", -1.0)
    assert scores == pytest.approx([0.5, -1.0]) and false == pytest.approx([0.9])


def views():
    """Ten patients: five with a malignant mass that is result, five without a lesion.

    The last one has a false mark; one of the five has a benign calcification, too, unmarked.
    """
    pixels = np.full(SHAPE, 20_000, np.uint16)
    pixels[:, 40:] = 0
    for number in range(10):
        lesions = []
        heat = blob(50, 5, 0.1 if number < 9 else 0.6)
        if number < 5:
            lesions.append(ShownLesion(disk(20, 20, 4), True, "mass", 8.0 + 4 * number))
            heat = np.maximum(heat, blob(20, 20, 0.8))
        if number == 0:
            lesions.append(ShownLesion(disk(50, 30, 3), False, "calc", None))
        yield ShownView(
            image_id=f"i{number}",
            view_id=f"v{number}",
            patient_key=f"p{number}",
            pixels=pixels,
            lesions=lesions,
            heat={"lesion": heat, "malignant": heat},
        )


def test_measures_by_hand():
    result, marks = measure_localization(views(), distance=5, replicates=200)
    malignant = result.curve("malignant", "center")
    assert (malignant.n_lesions, malignant.n_marked, malignant.n_images) == (5, 5, 5)
    assert malignant.counted == "normal"
    assert malignant.at_rates[0.125].value == 1.0 and malignant.figure_of_merit.value == 1.0
    # All lesions of 5 patients: Wilson's interval, 5 / (5 + 1.96²).
    wilson = pytest.approx(5 / (5 + 1.959964**2), abs=1e-6)
    assert malignant.at_rates[0.125].low == result.pointing["malignant"].low == wilson
    assert malignant.groups["type: mass"][1].low == wilson
    every = result.curve("lesion", "center")
    assert (every.n_lesions, every.n_marked) == (6, 5)
    assert every.at_rates[4.0].value == pytest.approx(5 / 6)
    # The unmarked lesion is below all five images without lesions: each has a mark.
    assert every.figure_of_merit.value == pytest.approx(5 / 6)
    assert result.pointing["malignant"].value == 1.0 and result.n_pointing["malignant"] == 5
    assert (result.n_views, result.n_marks, result.inside_breast) == (10, 30, 1.0)
    sizes = {name: count for name, (count, _) in malignant.groups.items()}
    assert sizes == {
        "type: mass": 5,
        "size: 0 to 10 mm": 1,
        "size: 10 to 20 mm": 3,
        "size: 20 to 50 mm": 1,
    }
    assert every.groups["type: calc"][0] == 1
    hit = marks[marks["target"] == "malignant"]
    assert hit["hits_center"].sum() == 5 and hit["hits_overlap"].sum() == 5
    assert set(marks.columns) >= {"image_id", "score", "row", "column", "inside_breast"}


def test_where_every_image_has_a_lesion_all_false_marks_count():
    result, _ = measure_localization(list(views())[:5], distance=5, replicates=200)
    assert result.curve("malignant", "center").counted == "all"


def test_without_lesions_there_is_no_curve():
    result, _ = measure_localization(list(views())[5:], distance=5, replicates=200)
    assert result.curves == () and result.pointing == {}
    page = Page("title", "subtitle")
    lesions_section(page, result)
    assert "Too few annotated lesions" in page.html()


def test_the_section_of_the_report():
    result, _ = measure_localization(views(), distance=5, replicates=200)
    page = Page("title", "subtitle")
    lesions_section(page, result)
    html = page.html()
    assert "malignant lesions, by overlap" in html and "images without one" in html
    assert "marked by center" in html and "marked by overlap" in html
    assert "size: 10 to 20 mm" in html and html.count("data:image/png") == 1


def test_a_view_is_shown_once_by_the_file_that_was_chosen():
    predictions = pd.DataFrame(
        {
            "image_id": ["a", "b", "c", "d"],
            "view_id": ["one", "one", "two", "two"],
            "probability": [0.1, 0.2, 0.3, 0.4],
        }
    )
    images = predictions.assign(not_chosen=["another file", "", "", ""])[
        ["image_id", "view_id", "not_chosen"]
    ]
    assert one_image_per_view(predictions, images)["image_id"].tolist() == ["b", "c"]


class NoHeater(Heater):
    def heat(self, pixels):
        return {}


def test_a_view_has_the_lesions_of_all_its_tables(two_tables, tmp_path):
    """Views with a mass and a calcification, which the tables of both have, each with a file."""
    from mammo_core.preprocessing import Geometry, Preprocessing
    from tests.support.ingest import convert_tables

    tables = two_tables
    store = open_store(str(tmp_path / "store"))
    dataset = convert_tables(store, tables)
    geometry = Geometry(height=96, width=72)
    heater = NoHeater(None, Preprocessing(geometry=geometry, bit_depth=16, mean=0), 24, None)
    frame = SimpleNamespace(images=tables.images, lesions=tables.lesions)
    predictions = tables.images.assign(probability=0.5)[["image_id", "view_id", "patient_key"]]
    shown = list(shown_views(store, dataset, frame, predictions, heater))
    counts = tables.lesions["view_id"].value_counts().to_dict()
    assert {view.view_id: len(view.lesions) for view in shown} == counts
    assert sum({lesion.lesion_type for lesion in x.lesions} == {"mass", "calc"} for x in shown) >= 2
