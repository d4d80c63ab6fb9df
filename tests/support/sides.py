"""Sources whose patients get sides, and the packages that training starts from."""

import pandas as pd

from mammo_core.datasets import publish
from mammo_core.datasets.tables import put_table
from mammo_core.features.kinds import FRAME, FrameFacts
from mammo_core.recipes import load_recipe
from mammo_core.registry.lineage.run_sides import SidesRequest, run_sides
from mammo_core.runs import Run, read_start_packages
from mammo_core.sources.kinds import TABLES, TableFacts
from mammo_core.steps.step import StepContext
from tests.support.registry_fixtures import put_version

STRATIFIED = "split={name: stratified}"


def patients(count, start=0, prefix="P"):
    """One image of each patient; a third of them malignant."""
    numbers = range(start, start + count)
    return pd.DataFrame(
        {
            "image_id": [f"{prefix}-{at}" for at in numbers],
            "patient_key": [f"{prefix}_{at:05d}" for at in numbers],
            "malignant": [int(at % 3 == 0) for at in numbers],
            "lesion_types": [("mass", "calc")[at % 2] for at in numbers],
            "official_splits": "train",
            "source": "cbis_ddsm",
            "manufacturer": "hologic",
        }
    )


def put_tables(store, images):
    id = TABLES.content_id({}, [(row, "") for row in images["image_id"]])
    manifest = TABLES.manifest(id, config={}, facts=TableFacts())
    file = put_table(store, f"{manifest.folder}/a", "images.parquet", images)
    return publish(store, manifest.model_copy(update={"files": (file,)}))


def sides_of(store, images, *settings, packages=(), links=None):
    """Assign the patients of a run; return its split, and the context."""
    drawn = [] if any(each.startswith("split={") for each in settings) else [STRATIFIED]
    recipe = load_recipe("phantom", [*drawn, *settings])
    context = StepContext("publish-features", Run(store, "r"), recipe)
    request = SidesRequest(
        store=store,
        split=recipe.split,
        model_name=recipe.model_name,
        tables=put_tables(store, images),
        images=images,
        start_packages=list(packages),
        read_start_packages=read_start_packages,
        links=links or {},
    )
    result = run_sides(request, context)
    splits = dict(zip(images["patient_key"], result.result.images["split"], strict=True))
    return splits, result, context


def put_frame(store, images, splits, *, sides="", seed=12345):
    """Publish a frame, as an earlier run left it."""
    split = {"name": "stratified", "seed": seed}
    facts = FrameFacts(mean=1, rescale_factor=1, shuffled_labels=False, split=split)
    rows = images.assign(split=images["patient_key"].map(splits))
    id = FRAME.content_id({}, [(row.image_id, row.split) for row in rows.itertuples()])
    lineage = {"sides": sides} if sides else {}
    manifest = FRAME.manifest(id, config={}, facts=facts, lineage=lineage)
    file = put_table(store, f"{manifest.folder}/a", "images.parquet", rows)
    return publish(store, manifest.model_copy(update={"files": (file,)}))


def of(splits, *names):
    return {key for key, split in splits.items() if split in names}


def start_package(store, images, splits, name="start"):
    frame = put_frame(store, images, splits)
    return put_version(store, name, 1, {"frame_id": frame.id}, "b" * 64)
