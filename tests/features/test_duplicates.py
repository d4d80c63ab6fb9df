"""Conversion keeps what finds copies; patients who share a picture are linked."""

import cv2
import pandas as pd

from mammo_core.datasets.tables import read_table
from mammo_core.features.duplicates import find_duplicates
from mammo_core.features.withheld import withheld_lines
from mammo_core.phantom import PhantomConfig, draw_view, plan_views
from mammo_core.store.base import file_sha256
from tests.support.ingest import Source, convert_tables


def test_copies_in_other_files_link_their_patients(file_store, tmp_path):
    views = plan_views(PhantomConfig(patients=3, seed=2))
    pixels = [draw_view(PhantomConfig(patients=3, seed=2), view).pixels for view in views]
    pictures = {f"{at}.png": picture for at, picture in enumerate(pixels)}
    pictures["copy.png"] = cv2.resize(pixels[0][:, ::-1], None, fx=0.6, fy=0.6)
    pictures["8-bit.png"] = (pixels[1] >> 8).astype("uint8")
    # A picture like those of many patients has nothing of its own to compare: it links nobody.
    crowd = {f"crowd-{at}.png": pixels[2] >> at for at in range(1, 7)}
    pictures |= crowd
    patients = {f"{at}.png": view.patient_key for at, view in enumerate(views)}
    patients |= {"copy.png": "another", "8-bit.png": patients["1.png"]}
    patients |= {name: name for name in crowd}
    rows = []
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / name), picture)
        image_id = file_sha256(tmp_path / name)
        rows.append({"image_id": image_id, "path": name, "patient_key": patients[name]})
    images = pd.DataFrame(rows)
    lesions = pd.DataFrame(columns=["lesion_id", "image_id", "mask_path", "mask_sha256"])
    dataset = convert_tables(file_store, Source(tmp_path, images, lesions, pd.DataFrame()))
    ids = dict(zip(images["path"], images["image_id"], strict=True))
    result = find_duplicates(file_store, dataset, images)
    expected = {
        frozenset((ids["0.png"], ids["copy.png"])),
        frozenset((ids["1.png"], ids["8-bit.png"])),
    }
    assert {frozenset(pair) for pair in result.pairs} == expected
    assert set(result.links) == {patients["0.png"], "another"}
    assert result.facts == {"images": 4, "pairs": 2, "patients": 2, "indistinct": 7}
    # Who was left out meanwhile links nobody.
    fewer = images[images["path"] != "copy.png"]
    assert find_duplicates(file_store, dataset, fewer).links == {}
    columns = read_table(file_store, dataset, "statistics.parquet", without=("picture",)).columns
    assert "mean" in columns and "picture" not in columns


def test_who_is_left_out_is_said():
    (line,) = withheld_lines({"copies_on_another_side": 3})
    assert line.startswith("3 patients are left out")
