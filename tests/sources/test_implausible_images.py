"""Images whose gray levels no mammogram has, in an index, its audit, a conversion and a frame."""

import json

import cv2
import numpy as np
import pytest

from mammo_core.datasets.tables import read_table
from mammo_core.errors import SourceError
from mammo_core.features.gray_levels import training_gray_levels
from mammo_core.imaging import measure_gray_levels
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert
from mammo_core.preprocessing import Geometry
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.auditing.audit_report import audit_page
from mammo_core.sources.auditing.implausible_images import apply_plausibility, find_implausible
from mammo_core.sources.auditing.policy import ImagePolicy, PlausibilityPolicy
from mammo_core.sources.files.file_inspection import inspect_files
from tests.support.drawings import draw_breast

SHAPE = (120, 90)
FAULTS = {
    "black": ("constant", lambda p, r: np.zeros_like(p)),
    "inverted": ("inverted", lambda p, r: 65535 - p),
    "noise": ("noise", lambda p, r: r.integers(0, 65536, p.shape).astype(np.uint16)),
    "folded": ("folded", lambda p, r: (p & 8191) << 3),
    "dark": ("dark", lambda p, r: p >> 4),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tables of four plausible images and one of each fault, and the files' inspection."""
    root, random = tmp_path_factory.mktemp("implausible"), np.random.default_rng(1)
    rows = ["image_path,patient_id,laterality,view,label"]
    names = [f"good{number}" for number in range(4)] + list(FAULTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMO_SITE_KEY", "0123456789abcdef" * 2)
        for number, name in enumerate(names):
            picture = draw_breast(number, 16, SHAPE)
            if name in FAULTS:
                picture = FAULTS[name][1](picture, random)
            cv2.imwrite(str(root / f"{name}.png"), picture)
            rows.append(f"{name}.png,p{number},L,CC,{number % 2}")
        (root / "table.csv").write_text("\n".join(rows) + "\n")
        config = SourceConfig(adapter="table", root=str(root), tables=str(root / "table.csv"))
        indexed = index(config)
        return root, indexed, inspect_files(config.files(), indexed.images)


def names_of(images):
    return {path.removesuffix(".png") for path in images["path"]}


def test_the_policy_rejects_them_or_warns(tables):
    _, indexed, inspection = tables
    result = apply_plausibility(indexed, inspection, PlausibilityPolicy())
    assert names_of(result.images) == {"good0", "good1", "good2", "good3", "dark"}
    reasons = dict(zip(result.rejects["item"], result.rejects["reason"], strict=True))
    for name in ("black", "inverted", "noise", "folded"):
        assert f"({FAULTS[name][0]})" in reasons[f"{name}.png"]
    warnings = result.images.set_index("path")["warnings"]
    codes = [warning["code"] for warning in json.loads(warnings["dark.png"])]
    assert codes == ["unused_range", "dark"]  # what `inspect` says, and the policy's
    assert warnings["good0.png"] == ""
    assert result.facts["left_out"] == {}


def test_another_policy(tables):
    _, indexed, inspection = tables
    policy = PlausibilityPolicy(noise="warn", inverted="accept", dark="reject")
    result = apply_plausibility(indexed, inspection, policy)
    assert names_of(result.images) == {f"good{n}" for n in range(4)} | {"noise", "inverted"}
    warnings = result.images.set_index("path")["warnings"]
    assert [w["code"] for w in json.loads(warnings["noise.png"])][-1] == "noise"
    assert "noise" not in warnings["inverted.png"]


def test_a_source_without_a_plausible_image_is_refused(tables):
    _, indexed, inspection = tables
    bad = indexed.images[~indexed.images["path"].str.startswith(("good", "dark"))]
    with pytest.raises(SourceError, match="No image of the source has the gray levels"):
        apply_plausibility(
            type(indexed)(bad, indexed.lesions, indexed.rejects, indexed.facts),
            inspection,
            PlausibilityPolicy(),
        )


def test_the_audit_shows_them_with_pictures(tables):
    _, indexed, inspection = tables
    policy = PlausibilityPolicy()
    implausible = find_implausible(indexed.images, inspection, policy)
    assert {item.path.removesuffix(".png") for item in implausible} == set(FAULTS)
    result = apply_plausibility(indexed, inspection, policy)
    page = audit_page(
        result.images,
        result.lesions,
        result.rejects,
        inspection,
        source="table",
        implausible=implausible,
    )
    for name, (code, _) in FAULTS.items():
        assert f"{name}.png" in page and code in page
    assert "A few of these images, by their fault." in page
    assert all(item.image_id in inspection.thumbnails for item in implausible)


def test_a_conversion_rejects_them_and_keeps_measures_and_warnings(tables, file_store):
    root, indexed, _ = tables
    config = ConvertConfig(geometry=Geometry(height=60, width=48))
    manifest = convert(
        file_store,
        indexed.images,
        indexed.lesions,
        root=root,
        config=config,
        runner=RunnerConfig(workers=1),
        lineage={},
    )
    rejects = read_table(file_store, manifest, "rejects.parquet")
    assert {item.removesuffix(".png") for item in rejects["item"]} == set(FAULTS) - {"dark"}
    table = read_table(file_store, manifest, "statistics.parquet")
    paths = dict(zip(indexed.images["image_id"], indexed.images["path"], strict=True))
    rows = {paths[row["image_id"]]: row for row in table.to_dict("records")}
    codes = [w["code"] for w in json.loads(rows["dark.png"]["warnings"])]
    assert codes == ["unused_range", "dark"] and rows["good1.png"]["warnings"] == ""
    # Measures are of the source image, and not of the record.
    measures = measure_gray_levels(draw_breast(1, 16, SHAPE), 16)
    assert rows["good1.png"]["gray_used_range"] == measures.used_range
    assert rows["good1.png"]["gray_chest_wall"] == "left"
    # The distribution is that of the training images alone.
    splits = {id: "train" if path != "dark.png" else "test" for id, path in paths.items()}
    levels = training_gray_levels(table, splits)
    assert levels["used_range"].minimum > 0.5
    assert training_gray_levels(table, dict.fromkeys(paths, "train"))["used_range"].minimum < 0.1
    assert training_gray_levels(table[["image_id"]], splits) == {}


def test_a_policy_is_part_of_a_conversion():
    from mammo_core.recipes import load_recipe

    plain = load_recipe("phantom")
    changed = load_recipe("phantom", ["images.plausibility.noise=warn"])
    assert plain.convert.plausibility == ImagePolicy().plausibility == PlausibilityPolicy()
    assert changed.convert.plausibility.noise == "warn"
    assert load_recipe(changed.to_json()) == changed
