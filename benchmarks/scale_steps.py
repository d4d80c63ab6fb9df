"""The steps that `scale.py` measures, on the source and the records of `scale_data.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale_data import only_output, records, scale_recipe, scale_store


def index(folder: Path) -> None:
    """The step `index`, from the listing, the CSV and the stored facts."""
    from mammo_core.runs import Run
    from mammo_core.steps import index as step

    run = Run.open(scale_store(folder), "scale")
    run.write_recipe(scale_recipe(folder))
    step(run)


def split(folder: Path) -> None:
    """The sides of all patients: drawn and stored, as `publish-features` does."""
    _sides(folder)


def _sides(folder: Path) -> tuple[Any, Any]:
    from mammo_core.datasets.tables import read_table
    from mammo_core.registry.lineage.run_sides import SidesRequest, run_sides
    from mammo_core.sources.kinds import TABLES

    class Silent:
        def say(self, text: str) -> None: ...

        def note(self, **facts: Any) -> None: ...

    store, recipe, tables = scale_store(folder), scale_recipe(folder), only_output(folder, TABLES)
    images = read_table(store, tables, "images.parquet")
    request = SidesRequest(
        store=store, split=recipe.split, model_name=recipe.model_name, tables=tables,
        images=images, start_packages=(), read_start_packages=lambda store, run: [],
    )  # fmt: skip
    return run_sides(request, Silent()), images


def _features(folder: Path) -> Any:
    from mammo_core.datasets.tables import read_table
    from mammo_core.features.assignments import split_id
    from mammo_core.features.gray_levels import training_gray_levels
    from mammo_core.features.locations import record_locations
    from mammo_core.features.publish import FeatureTables
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.sources.kinds import TABLES

    store, recipe = scale_store(folder), scale_recipe(folder)
    sides, images = _sides(folder)
    tables, dataset = only_output(folder, TABLES), only_output(folder, IMAGE_DATASET)
    statistics = read_table(store, dataset, "statistics.parquet", without=("picture",))
    splits = dict(zip(sides.result.images["image_id"], sides.result.images["split"], strict=True))
    split = recipe.split.model_dump(mode="json")
    assignment = split_id({**split, "withheld": sides.facts}, splits)
    return FeatureTables(
        images=images, lesions=read_table(store, tables, "lesions.parquet"),
        statistics=statistics, splits=splits, patients=sides.result.patients,
        assignment_id=assignment, dataset_id=dataset.id,
        facts={
            "split": split, "leaking_patients": [],
            "images": recipe.images.model_dump(mode="json"), "withheld": sides.facts,
            "gray_levels": training_gray_levels(statistics, splits),
        },
        shuffle_labels=False, seed=1, sides_id=sides.assignment_id,
        inputs={"tables": tables.id, "images": dataset.id, "assignment": assignment},
        locations=record_locations(store, dataset),
    )  # fmt: skip


def publish(folder: Path) -> None:
    """The rows of all feature views, with the sides of the patients."""
    from mammo_core.features.publish import publish_features

    publish_features(scale_store(folder), _features(folder))


def frame(folder: Path) -> None:
    """The step `publish-features`: sides, rows that are published already, join and frame."""
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.runs import Run
    from mammo_core.sources.kinds import TABLES
    from mammo_core.steps import publish_features as step

    run = Run.open(scale_store(folder), "scale")
    step(run, tables=only_output(folder, TABLES), images=only_output(folder, IMAGE_DATASET))


def find_new(folder: Path) -> None:
    """What `find-new` compares: the images of now with the champion's frame and its tables."""
    from mammo_core.datasets.tables import read_table
    from mammo_core.features import MAIN
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.features.kinds import FRAME
    from mammo_core.features.new_images import new_images_since
    from mammo_core.sources.kinds import TABLES

    store = scale_store(folder)
    images = read_table(store, only_output(folder, TABLES), "images.parquet")
    before = images.iloc[: len(images) * 9 // 10]
    old = frame_from_manifest(store, only_output(folder, FRAME))
    new_images_since(store, images, old, folder=MAIN, before=before)


def validation(folder: Path) -> None:
    """What `validate-data` compares, and its page."""
    from mammo_core.datasets.outputs import make_output
    from mammo_core.features.config import ValidationConfig
    from mammo_core.features.data_checks.validation_report import draft_validation
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.features.kinds import FRAME, VALIDATION
    from mammo_core.ingest.kinds import IMAGE_DATASET

    store, manifest = scale_store(folder), only_output(folder, FRAME)
    champion = frame_from_manifest(store, manifest)
    part = champion.images.iloc[: len(champion.images) * 9 // 10]
    champion = type(champion)(champion.id, part, champion.lesions, champion.facts)
    make_output(
        store, VALIDATION.output("scale"),
        lambda attempt: draft_validation(
            attempt, "0" * 32, ValidationConfig(), frame=manifest,
            images=only_output(folder, IMAGE_DATASET), champion=champion, no_champion_reason="",
            same_conversion=True, title="scale",
        ),
    )  # fmt: skip


#: Measured steps in order; `records` only writes what the later ones read.
STEPS: dict[str, Callable[[Path], None]] = {
    "index": index, "records": records, "split": split, "publish": publish, "frame": frame,
    "find-new": find_new, "validation": validation,
}  # fmt: skip
UNMEASURED = ("records",)
