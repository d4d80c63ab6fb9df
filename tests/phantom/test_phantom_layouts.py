"""The layouts of published data sets, vendors, earlier exams and prevalence."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from mammo_core.errors import RecipeError
from mammo_core.imaging import find_faults, measure_gray_levels
from mammo_core.phantom import PhantomConfig, create, draw_view, plan_views, verify
from mammo_core.phantom.config import MAXIMUM_VENDORS
from mammo_core.phantom.draw import draw_scene, scan_scene
from mammo_core.phantom.layouts.layout import published_layouts
from mammo_core.phantom.layouts.population import plan_population
from mammo_core.phantom.looks import LOOKS
from mammo_core.phantom.marker import MARKER

SMALL: dict[str, Any] = {"patients": 8, "seed": 3, "height": 96, "width": 72}
#: Digests of tables that no drawing decides, recorded when the layouts were new: they fail if the
#: plan of old seeds changes.
TABLES = {
    "rsna_2023": "748404b1599bee944a3c0fcc46882a9bed75aeca7b7f79da7c098c7c85f7f938",
    "cmmd": "6363a70bc33984c0e91e1809d48b23eec83062e75369237d4205695758b615e2",
    "csaw_cc": "47060897f5604580f094a17b30b7b5877218b8131ec4bca1b335dd93ed74330e",
}


def small(layout: str, **changes: Any) -> PhantomConfig:
    return PhantomConfig(layout=layout, **{**SMALL, **changes})


def test_phantoms_of_before_are_complete_and_keep_their_parameters() -> None:
    assert set(PhantomConfig().to_json()) == {
        "patients",
        "seed",
        "layout",
        "height",
        "width",
        "difficulty",
    }
    assert PhantomConfig(vendors=2).to_json()["vendors"] == 2


@pytest.mark.parametrize("layout", TABLES)
def test_old_seeds_keep_their_plan(layout: str, tmp_path: Path) -> None:
    create(tmp_path / "tree", small(layout), workers=1)
    tables = [
        path.read_bytes()
        for path in sorted((tmp_path / "tree").rglob("*"))
        if path.suffix in (".csv", ".xlsx")
    ]
    assert hashlib.sha256(b"".join(tables)).hexdigest() == TABLES[layout]


@pytest.mark.parametrize("layout", published_layouts())
def test_a_tree_is_complete_the_same_and_synthetic(layout: str, tmp_path: Path) -> None:
    first = create(tmp_path / "one", small(layout), workers=1)
    assert verify(tmp_path / "one") == []
    # An interrupted run is completed to the same bytes: outlines are found again, too.
    paths = sorted(path for path in (tmp_path / "one").rglob("*.*") if path.is_file())
    for path in paths:
        if path.suffix in (".csv", ".xlsx", ".txt"):
            path.unlink()
    next(p for p in paths if p.suffix in (".dcm", ".dicom", ".tif", ".pgm")).unlink()
    again = create(tmp_path / "one", small(layout), workers=1)
    assert (again.digest, again.drawn) == (first.digest, 1)
    counts = first.counts
    assert counts["mammograms"] == sum(
        counts[name] for name in ("malignant", "not_malignant", "without_label")
    )
    assert counts["malignant"] and counts["not_malignant"] and counts["lesions"]
    for path in (tmp_path / "one").rglob("*.d*cm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert "SYNTHETIC" in header.ImageComments and header.PatientName == "PHANTOM^SYNTHETIC"


def test_prevalence_is_exact() -> None:
    for prevalence, expected in ((0.0, 0), (0.25, 5), (1.0, 20)):
        patients = plan_population(small("cmmd", patients=20, prevalence=prevalence), look=0)
        assert sum(patient.cancer for patient in patients) == expected
        views = plan_views(PhantomConfig(patients=20, seed=3, prevalence=prevalence))
        assert len({view.patient_key for view in views if view.malignant}) == expected


def test_a_cancer_grows_over_the_earlier_exams() -> None:
    config = small("csaw_cc", patients=12, priors=4)
    growing = 0
    for patient in plan_population(config, look=0):
        assert [exam.years_before for exam in patient.exams] == [4, 3, 2, 1, 0]
        assert [any(b.cancer for b in exam.breasts) for exam in patient.exams] == [
            False,
            False,
            False,
            False,
            patient.cancer,
        ]
        by_exam = [[lesion for b in exam.breasts for lesion in b.lesions] for exam in patient.exams]
        sizes = [max((x.radius for x in lesions if x.malignant), default=0) for lesions in by_exam]
        assert sizes == sorted(sizes)
        growing += 0 < sizes[0] < sizes[-1] or sizes[0] == 0 < sizes[-1]
        benign = [[x for x in lesions if not x.malignant] for lesions in by_exam]
        assert all(lesions == benign[-1] for lesions in benign)
    assert growing == sum(patient.cancer for patient in plan_population(config, look=0)) > 0


def test_an_earlier_exam_is_another_picture_of_the_same_woman(tmp_path: Path) -> None:
    create(tmp_path / "tree", small("csaw_cc", patients=3), workers=1)
    first, last = (
        pydicom.dcmread(tmp_path / f"tree/00001_20990909_L_CC_{number}.dcm").pixel_array
        for number in (1, 2)
    )
    assert first.shape == last.shape and np.corrcoef(first.ravel(), last.ravel())[0, 1] < 0.99


def test_layouts_without_exams_refuse_earlier_ones() -> None:
    for layout in ("original", "nbia", "vindr_mammo", "cmmd"):
        with pytest.raises(RecipeError, match="csaw_cc"):
            PhantomConfig(layout=layout, priors=1)
    for wrong in ({"vendors": 0}, {"vendors": len(LOOKS) + 1}, {"prevalence": 1.5}, {"priors": -1}):
        with pytest.raises(RecipeError):
            PhantomConfig(layout="embed", **wrong)


def test_each_vendor_has_a_look_and_a_name(tmp_path: Path) -> None:
    assert len(LOOKS) == MAXIMUM_VENDORS
    config = PhantomConfig(patients=4, seed=3, height=96, width=72, vendors=4)
    create(tmp_path / "tree", config, workers=1)
    names = {
        str(pydicom.dcmread(path, stop_before_pixels=True).Manufacturer)
        for path in (tmp_path / "tree").rglob("*.dcm")
    }
    assert names == {look.manufacturer for look in LOOKS[:4]}
    alone = {view.view_id: view for view in plan_views(config.model_copy(update={"vendors": 1}))}
    for view in plan_views(config):
        same = np.array_equal(
            draw_view(config, view).pixels, draw_view(config, alone[view.view_id]).pixels
        )
        assert same == (view.vendor == 0)


def test_a_marker_lists_the_new_parameters_only_where_they_are_used(tmp_path: Path) -> None:
    create(tmp_path / "tree", small("mias", patients=2, prevalence=0.5), workers=1)
    stored = json.loads((tmp_path / "tree" / MARKER).read_text())["config"]
    assert stored["prevalence"] == 0.5 and "vendors" not in stored
    with pytest.raises(RecipeError, match=r"prevalence 0\.5"):
        create(tmp_path / "tree", small("mias", patients=2), workers=1)


def test_every_look_is_that_of_a_mammogram() -> None:
    config = small("embed", patients=6, prevalence=0.5, difficulty=0.2)
    for image in published_layouts()["embed"].plan(config):
        scene = draw_scene(config, image.view)
        for vendor in range(len(LOOKS)):
            pixels = scan_scene(config, replace(image.view, vendor=vendor), scene, 0)
            assert find_faults(measure_gray_levels(pixels, 16)) == []
