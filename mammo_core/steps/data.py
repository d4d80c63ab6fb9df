"""The steps from tables to image records, patches and frames."""

import os
from typing import TYPE_CHECKING

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import read_table
from mammo_core.errors import StoreError
from mammo_core.features.kinds import FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
from mammo_core.ingest.partition import partition_names
from mammo_core.ingest.partition_count import choose_partition_count
from mammo_core.processes import give_back_memory
from mammo_core.recipes import Recipe
from mammo_core.runs import Run, read_start_packages, start_packages_of
from mammo_core.sources.several.names import NAME_COLUMN
from mammo_core.steps.step import StepContext, step

if TYPE_CHECKING:
    import pandas as pd

    from mammo_core.features.duplicates import Duplicates

#: Pairs of copies that the record of a run names.
_PAIRS_NOTED = 100


@step("convert")
def convert(context: StepContext, tables: Manifest) -> Manifest:
    """Convert the mammograms to image records, or a partition of them."""
    from mammo_core import ingest

    recipe = context.recipe
    images, lesions = _tables_of(context, tables)

    def make(attempt: Attempt) -> Draft:
        return ingest.make_images(
            attempt,
            images,
            lesions,
            root=recipe.source_files(),
            config=recipe.convert,
            runner=recipe.runner,
            lineage={"tables": tables.id},
            partition=context.partition,
        )

    id = ingest.convert_id(recipe.convert, images, lesions)
    manifest = context.reuse_or_make(IMAGE_DATASET, id, make)
    if "planned" in manifest.counts:  # a partition does not have the counts of the dataset
        counts = manifest.counts
        context.require_few_rejects(
            counts["rejected_images"] + counts["rejected_lesions"],
            counts["planned"] + counts["lesions"],
            "images and lesions",
            manifest.file("rejects.parquet").key,
        )
    return manifest


def _tables_of(context: StepContext, tables: Manifest) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The images and lesions of a source, without patients who were forgotten meanwhile."""
    from mammo_core.sources.identity.forgotten import forgotten_patients

    store = context.store
    images = read_table(store, tables, "images.parquet")
    lesions = read_table(store, tables, "lesions.parquet")
    forgotten = forgotten_patients(store, images["patient_key"].unique())
    if not forgotten:
        return images, lesions
    context.say(f"{len(forgotten)} patients were withdrawn after the tables were made")
    images = images[~images["patient_key"].isin(forgotten)].reset_index(drop=True)
    return images, lesions[~lesions["patient_key"].isin(forgotten)].reset_index(drop=True)


def has_records(run: Run, recipe: Recipe, tables: Manifest) -> bool:
    """Return whether the image and the patch dataset of these tables are published already."""
    from mammo_core import ingest

    images, lesions = _tables_of(StepContext("index", run), tables)
    dataset = IMAGE_DATASET.find(run.store, ingest.convert_id(recipe.convert, images, lesions))
    if dataset is None:
        return False
    others = ingest.other_files(run.store, dataset, ingest.view_ids(images))
    patches = ingest.sample_id(recipe.sampling, recipe.seed, dataset, others)
    return PATCH_DATASET.find(run.store, patches) is not None


def choose_partitions(run: Run, tables: Manifest) -> list[str]:
    """Return the partitions of conversion and sampling, as many as the bytes of the images say."""
    images, _ = _tables_of(StepContext("index", run), tables)
    pixels = int((images["rows"] * images["columns"]).fillna(0).sum())
    return partition_names(choose_partition_count(2 * pixels))


@step("publish-features")
def publish_features(context: StepContext, tables: Manifest, images: Manifest) -> Manifest:
    """Publish labels, splits and statistics to the feature store, and the frame of this run."""
    from mammo_core.features.assignments import split_id
    from mammo_core.features.duplicates import PICTURE, find_duplicates
    from mammo_core.features.gray_levels import training_gray_levels
    from mammo_core.features.locations import record_locations
    from mammo_core.features.publish import FeatureTables, find_frame, make_frame
    from mammo_core.registry.lineage.run_sides import SidesRequest, run_sides

    recipe, store = context.recipe, context.store
    split = recipe.split.model_dump(mode="json")
    table, lesions = _tables_of(context, tables)
    statistics = read_table(store, images, "statistics.parquet", without=(PICTURE,))
    duplicates = find_duplicates(store, images, table)
    links = duplicates.links
    if recipe.sources:
        links = _links(context, tables, table, duplicates)
    training, external = _by_role(recipe, table)
    if duplicates.pairs:
        context.say(
            "{images} images show the same picture as another one; {patients} patients share one, "
            "and are kept on one side".format(**duplicates.facts)
        )
        context.note(duplicates=[list(pair) for pair in duplicates.pairs[:_PAIRS_NOTED]])
    # Patients with a rejected image keep their split; the rejected image has no record.
    request = SidesRequest(
        store=store,
        split=recipe.split,
        model_name=recipe.model_name,
        tables=tables,
        images=training,
        external=external,
        start_packages=start_packages_of(recipe),
        read_start_packages=read_start_packages,
        links=links,
    )
    sides = run_sides(request, context)
    result = sides.result
    splits = dict(zip(result.images["image_id"], result.images["split"], strict=True))
    assignment = split_id({**split, "withheld": sides.facts}, splits)
    features = FeatureTables(
        images=table[table["image_id"].isin(set(statistics["image_id"]))],
        lesions=lesions,
        statistics=statistics,
        splits=splits,
        patients=result.patients,
        assignment_id=assignment,
        dataset_id=images.id,
        facts={
            "split": split,
            "leaking_patients": result.leaking,
            "images": recipe.images.model_dump(mode="json"),
            "withheld": sides.facts,
            "duplicates": duplicates.facts,
            "gray_levels": training_gray_levels(statistics, splits),
            **({"sources": _source_facts(recipe)} if recipe.sources else {}),
        },
        shuffle_labels=recipe.shuffle_labels,
        seed=recipe.seed,
        inputs={"tables": tables.id, "images": images.id, "assignment": assignment},
        sides_id=sides.assignment_id,
        intensity=recipe.intensity,
        locations=record_locations(store, images),
    )
    del table, training, external, request, sides, result, duplicates  # as large as `features`
    give_back_memory()

    def make(attempt: Attempt) -> Draft:
        draft = make_frame(attempt, features, recipe.as_of)
        _bring_online(context, features.folder)
        return draft

    lease = f"{FRAME.folder}/of-{images.id}"
    frame = context.search_or_make(lease, lambda: find_frame(store, features, recipe.as_of), make)
    facts = FRAME.facts_of(frame)
    context.note(splits=facts.splits, mean=facts.mean)
    return frame


def _by_role(recipe: Recipe, images: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.DataFrame | None]":
    """The images that are divided into splits, and those of external sources, if any."""
    if not recipe.sources:
        return images, None
    is_training = images[NAME_COLUMN].isin(recipe.training_names)
    external = images[~is_training].reset_index(drop=True)
    return images[is_training].reset_index(drop=True), external if len(external) else None


def _links(
    context: StepContext, tables: Manifest, images: "pd.DataFrame", duplicates: "Duplicates"
) -> dict[str, str]:
    """Link patients of several sources: by pictures, by a file in both, by a published name."""
    from mammo_core.features.data_checks.contamination import same_patients, with_namespace
    from mammo_core.sources.several.join import links_of
    from mammo_core.sources.several.union import LINKS
    from mammo_core.sources.splitting.linked_sides import link_patients

    files = links_of(read_table(context.store, tables, LINKS))
    names = same_patients(with_namespace(images))
    links = link_patients([*duplicates.links.items(), *files, *names])
    if len(links) > len(duplicates.links):
        context.say(
            f"{len(files)} pairs of patients of two sources have a file in common, and "
            f"{len(names)} a published name: they are kept on one side"
        )
    return links


def _source_facts(recipe: Recipe) -> dict[str, dict[str, str]]:
    return {entry.name: {"adapter": entry.adapter, "role": entry.role} for entry in recipe.sources}


def _bring_online(context: StepContext, folder: str) -> None:
    """Write the newest rows to the Redis server, if one is configured; training needs none."""
    from mammo_core.features import MAIN
    from mammo_core.features.online import apply, redis_of

    if folder != MAIN or redis_of(os.environ) is None:
        return
    try:
        result = apply(context.store, folder)
    except StoreError as error:
        context.say(f"warning: the newest features are not online: {error}")
    else:
        context.say(f"{sum(result.views.values())} keys are online: {result.online}")


@step("sample")
def sample(context: StepContext, tables: Manifest, images: Manifest) -> Manifest:
    """Cut the patches of the image records, or of a partition of them."""
    from mammo_core import ingest

    recipe = context.recipe
    views = ingest.view_ids(_tables_of(context, tables)[0])
    others = ingest.other_files(context.store, images, views)

    def make(attempt: Attempt) -> Draft:
        return ingest.make_patches(
            attempt,
            images,
            config=recipe.sampling,
            seed=recipe.seed,
            runner=recipe.runner,
            partition=context.partition,
            others=others,
        )

    id = ingest.sample_id(recipe.sampling, recipe.seed, images, others)
    manifest = context.reuse_or_make(PATCH_DATASET, id, make)
    if "patches" in manifest.counts:  # a partition does not have the counts of the dataset
        # Too few patches of a lesion are listed in the rejects table; they fail no step.
        context.rejects += manifest.counts["rejected_lesions"] + manifest.counts["rejected_images"]
    return manifest
