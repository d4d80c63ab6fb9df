"""The probabilities of a package in the duel are those of `mammo score`, and of its evaluation."""

import numpy as np
import pandas as pd
import pytest

from mammo_core.datasets.tables import read_table
from mammo_core.duel.package_scores import score_source_images
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.inference import image_predictions
from mammo_core.features.frame import frame_from_manifest
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert
from mammo_core.packaging import load
from mammo_core.registry import push
from mammo_core.scoring import score
from mammo_core.sources.files.source_files import SourceFiles
from tests.duel.conftest import put_candidate
from tests.support.packages import build_two_views


def duel_table(scene, champion, challenger):
    push(scene.store, champion, "m")
    duel = scene.duel(put_candidate(scene.store, challenger))
    return duel, scene.table(duel).set_index("image_id")


def files_of(scene, ids):
    rows = scene.images[scene.images["image_id"].isin(set(ids))]
    return [scene.root / path for path in rows["path"]]


def scored_files(package, files, folder):
    out = folder / "scores.parquet"
    score(package, files, out)
    return pd.read_parquet(out).set_index("id")["malignant_probability"]


def evaluated(scene, package):
    """Return what an evaluation of the package gives: from records of its own conversion."""
    preprocessing = package.preprocessing
    config = ConvertConfig(
        geometry=preprocessing.geometry, **preprocessing.conversion.model_dump(), shard_mb=1
    )
    images = convert(
        scene.store,
        scene.images,
        read_table(scene.store, scene.tables, "lesions.parquet"),
        root=scene.root,
        config=config,
        runner=RunnerConfig(workers=1),
        lineage={"tables": scene.tables.id},
    )
    rows = frame_from_manifest(scene.store, scene.frame).split("test")
    how = EvaluationConfig(flips=package.rules.flips, translation=package.rules.translation)
    table = image_predictions(scene.store, images, rows, package.model, preprocessing, how)
    return table.set_index("image_id")["probability"]


def test_a_champion_of_another_conversion_and_geometry(scene, champion, challenger, tmp_path):
    duel, table = duel_table(scene, champion, challenger)
    package = load(champion)
    theirs = table["champion_probability"]
    assert len(theirs) == len(table) > 8 and theirs.notna().all()
    files = files_of(scene, table.index)
    scored = scored_files(package, files, tmp_path)
    np.testing.assert_allclose(theirs, scored.loc[table.index], atol=1e-6, rtol=0)
    np.testing.assert_allclose(theirs, evaluated(scene, package).loc[table.index], atol=1e-6)
    scored_by_challenger = scored_files(load(challenger), files, tmp_path)
    np.testing.assert_allclose(
        table["challenger_probability"], scored_by_challenger.loc[table.index], atol=1e-6, rtol=0
    )
    assert theirs.std() > 0 and (table["left_out"] == "").all()
    assert duel.facts["state"] == "compared"


def test_a_champion_of_both_views(scene, challenger, tmp_path):
    folder = build_two_views(tmp_path / "pairs")
    _, table = duel_table(scene, folder, challenger)
    package = load(folder)
    theirs = table["champion_probability"]
    scored = scored_files(package, files_of(scene, table.index), tmp_path)
    np.testing.assert_allclose(theirs, scored.loc[table.index], atol=1e-6, rtol=0)
    np.testing.assert_allclose(theirs, evaluated(scene, package).loc[table.index], atol=1e-6)
    breasts = table.groupby(["patient_key", "laterality"])["champion_probability"]
    assert breasts.nunique().max() == 1 and breasts.size().max() > 1


def test_side_and_view_come_from_the_table_where_a_file_states_none(
    scene, champion, challenger, tmp_path
):
    """PNG files with names that say nothing: only the table knows side and view."""
    import cv2

    from mammo_core.dicom import read_image

    package = load(champion)
    root = tmp_path / "plain"
    root.mkdir()
    rows = scene.images.head(4).copy()
    for number, row in enumerate(rows.itertuples()):
        image = read_image(scene.root / row.path, mammogram=True)
        cv2.imwrite(str(root / f"{number}.png"), image.pixels)
    rows["path"] = [f"{number}.png" for number in range(len(rows))]
    source = SourceFiles.open(str(root))
    rows["image_id"] = [source.sha256(path) for path in rows["path"]]
    table = score_source_images(package, rows, source).set_index("image_id")
    for row in rows.itertuples():
        image = read_image(root / row.path, mammogram=True)
        pixels = package.preprocessing.from_source(
            image.pixels, image.facts.bits_stored, row.laterality
        )
        expected = package.predict(pixels[np.newaxis], flips=True, translation=2)[0]
        assert table.loc[row.image_id, "probability"] == pytest.approx(expected, abs=1e-5)
