"""The real case tables and real images of CBIS-DDSM."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from mammo_core.sources import SourceConfig, SplitConfig, assign, audit, index
from mammo_core.sources.adapters.cbis_ddsm.case_tables import (
    case_table_facts,
    leaking_patients,
    read_case_tables,
)
from tests.support import cbis_tree

ROOT = Path(__file__).resolve().parents[3]
REAL = Path(os.environ.get("MAMMO_REAL_DATA", ROOT.parent / "shared" / "data"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data in {REAL}"),
]


@pytest.fixture(scope="module")
def cases():
    return read_case_tables(REAL / "cbis_ddsm_csv")


def test_facts_of_the_official_tables(cases):
    # Computed once by hand from the byte-exact tables: shared/data/SOURCES.md.
    assert case_table_facts(cases) == {
        "rows": 3568,
        "views": 3032,
        "patients": 1566,
        "splits": {
            "train": {"rows": 1318 + 1546, "views": 2420, "malignant": 1097, "patients": 1248},
            "test": {"rows": 378 + 326, "views": 641, "malignant": 262, "patients": 349},
        },
        "leaking_patients": 31,
        "leaking_views": 29,
        # 42 inside one split (docs/original-system.md, "Data sets"), and the 29 that leak:
        # 3,103 paths, 3,032 views.
        "views_with_mass_and_calc": 71,
        "views_with_several_lesions": 334,
        "test_without_leak": {"views": 591, "malignant": 244, "patients": 318},
    }
    assert len(leaking_patients(cases)) == 31
    assert cases["image_path"].nunique() == 3103


def test_files_of_one_view_share_one_label(cases):
    """71 views have several files; in 16 of them the pathology differs, in 7 between splits."""
    from collections import defaultdict

    from mammo_core.sources.adapters.cbis_ddsm.index import image_cases
    from mammo_core.sources.adapters.cbis_ddsm.layout import CellFiles
    from mammo_core.sources.tables.source_tables import Rejects

    rows = cases.to_dict("records")
    cells = {
        row[name]: [row[name]] for row in rows for name in ("image_path", "mask_path", "crop_path")
    }
    by_file: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        labels = by_file[row["view_id"]]
        labels[row["image_path"]] = max(labels.get(row["image_path"], 0), row["malignant"])
    several = {view: labels for view, labels in by_file.items() if len(labels) > 1}
    assert (len(several), sum(len(set(labels.values())) > 1 for labels in several.values())) == (
        71,
        16,
    )
    for case in image_cases(rows, CellFiles(cells, {}, 0), Rejects()):
        assert case.malignant == max(by_file[case.view_id].values())
        assert case.exam_key == ""


def test_cells_are_normalized(cases):
    words = cases.select_dtypes("object")
    assert not words.apply(lambda column: column.str.contains(r"\s$|^N/A$", regex=True)).any().any()
    assert (cases["assessment"] == 0).sum() == 238  # docs/original-system.md, "Data sets"
    assert (cases["breast_density"] == 0).sum() == 2
    assert cases["calc_type"].replace("", None).nunique() in (47, 48)
    assert set(cases.loc[cases["lesion_type"] == "mass", "calc_type"]) == {""}


def official_images(cases):
    """Return a table of images like that of an index, without any file."""
    images = (
        cases.groupby(["view_id", "official_split"], as_index=False)
        .agg(
            patient_key=("patient_key", "first"),
            malignant=("malignant", "max"),
            lesion_types=("lesion_type", lambda types: "+".join(sorted(set(types)))),
        )
        .rename(columns={"official_split": "official_splits"})
    )
    images["image_id"] = images["view_id"] + images["official_splits"]
    return images


def test_split_without_leak_has_the_known_size(cases):
    images = official_images(cases)
    result = assign(images, SplitConfig(name="official-without-leak"))
    assert len(result.leaking) == 31
    sides = images.merge(result.images[["image_id", "split"]], on="image_id")
    test = sides[sides["split"] == "test"]
    assert (len(test), test["malignant"].sum(), test["patient_key"].nunique()) == (591, 244, 318)
    assert len(sides[sides["split"].isin(["train", "validation"])]) == 2420
    assert len(sides[sides["split"] == "excluded"]) == 641 - 591
    other = assign(images, SplitConfig(name="official-without-leak", leak="drop_from_train"))
    assert (other.images["split"] == "test").sum() == 641
    assert (other.patients["split"] == "test").sum() == 349


def test_stratified_split_keeps_the_shares(cases):
    images = official_images(cases)
    result = assign(images, SplitConfig(name="stratified"))
    sizes = result.patients["split"].value_counts()
    assert sizes["test"] == pytest.approx(0.15 * 1566, abs=2)
    assert sizes["validation"] == pytest.approx(0.1 * 0.85 * 1566, abs=2)
    malignant = images.groupby("patient_key")["malignant"].max()
    share = result.patients.set_index("patient_key")["split"].to_frame().join(malignant)
    means = share.groupby("split")["malignant"].mean()
    assert means.max() - means.min() < 0.01


def test_tables_are_checked_in_five_seconds():
    start = time.process_time()
    case_table_facts(read_case_tables(REAL / "cbis_ddsm_csv"))
    assert time.process_time() - start < 5


@pytest.mark.parametrize("distinct", [False, True])
def test_tree_of_real_images(tmp_path, distinct):
    cbis_tree.build(tmp_path, REAL, distinct=distinct)
    tables = index(SourceConfig(root=str(tmp_path), partial=True))
    assert tables.rejects.empty
    assert tables.images["view_id"].nunique() == 6
    # P_00041 and P_00202 have each view in two directories.
    assert len(tables.images) == (10 if distinct else 6)
    assert len(tables.lesions) == 10
    assert tables.facts["leaking_patients"] == 1
    malignant = tables.images.groupby("patient_key")["malignant"].max()
    assert malignant.to_dict() == {"P_00041": 0, "P_00127": 1, "P_00202": 1}  # SOURCES.md
    leak = tables.images[tables.images["patient_key"] == "P_00041"]
    assert set(leak["official_splits"]) == ({"test", "train"} if distinct else {"test+train"})
    result = assign(tables.images, SplitConfig(name="official-without-leak"))
    assert result.leaking == ["P_00041"]
    counted = audit(tables.images, tables.lesions, tables.rejects, result)
    assert counted["leaking_patients"] == ["P_00041"]
    assert counted["splits"]["test"]["views"] == 4
    json.dumps([counted, tables.facts])
    for image in tables.images.itertuples():
        file = tmp_path / image.path
        assert hashlib.sha256(file.read_bytes()).hexdigest() == image.image_id
        assert (image.rows, image.columns, image.bits_stored) == (1152, 896, 16)
    kinds = tables.lesions.set_index("lesion_id")
    assert "P_00202_RIGHT_CC_mass_1" in kinds.index
    assert "P_00202_RIGHT_CC_calc_2" in kinds.index
    if not distinct:
        same = kinds.loc[["P_00202_RIGHT_CC_mass_1", "P_00202_RIGHT_CC_calc_2"], "image_id"]
        assert same.nunique() == 1
