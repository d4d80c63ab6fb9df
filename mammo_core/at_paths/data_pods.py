"""What the pods do that begin a run and make its data: see `pods`."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mammo_core import steps
from mammo_core.at_paths import read, show_page, write
from mammo_core.at_paths.bundles import write_bundle
from mammo_core.at_paths.pod import Pod, written
from mammo_core.errors import MammoError
from mammo_core.recipes import load_recipe
from mammo_core.steps.begin import network_names

#: Where the sources are on a cluster, each under the name of its folder.
SOURCES = "s3://mammo-sources"


class RunBeginning(NamedTuple):
    """What the pod `index` passes on.

    Attributes:
        partitions: The partitions of the records, for a pod each; empty: there is one, or there
            is nothing left to do.
        recipe_digest: SHA-256 of the resolved recipe.
        enough: Whether enough images are new to train again; True where that was not asked.
        metadata: Metadata of the tables, and of the new images.
    """

    partitions: list[str]
    recipe_digest: str
    enough: bool
    metadata: list[dict[str, Any]]


def begin(
    *,
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    tables: str,
    audit: str,
    source: str = "",
    settings: Sequence[str] = (),
    partitions: int = 1,
    start: str = "",
    signed: bool = False,
    new_images: str = "",
) -> RunBeginning:
    """Resolve the recipe of a run (see `steps.begin`) and index its source.

    Args:
        store: URI of the object store.
        run_id: Name of the run.
        kfp_run_id: Id that Kubeflow Pipelines gave the run.
        recipe: Name or URI of a recipe, or the recipe itself as a JSON object.
        tables: Path of the tables.
        audit: Path of the audit, an HTML page.
        source: URI of the mammograms instead of the recipe's.
        settings: Overrides of the recipe.
        partitions: Number of partitions of conversion and sampling; 0: chosen from the bytes of
            the images.
        start: Model package that training starts from: a URI, or `champion`.
        signed: Whether the signing key is checked by another pod.
        new_images: Path of what `find-new` found; empty: it is not asked.
    """
    pod = Pod(store, run_id, kfp_run_id, recipe)

    def work() -> list[Any]:
        from mammo_core.steps.data import choose_partitions, has_records

        run = pod.run()
        beginning = steps.begin(
            run,
            recipe,
            source=source or _source_in_bucket(recipe, settings),
            settings=settings,
            partitions=partitions,
            start=start,
            signing_key_id="checked by another pod" if signed else "",
        )
        digest = beginning.recipe_digest
        result = steps.index.execute(run, recipe_digest=digest, use="training")
        write(tables, result.manifest.to_json().encode())
        show_page(store, result.manifest, audit, "audit.html")
        metadata, enough = [result.metadata], True
        if new_images:
            new = steps.find_new.execute(run, recipe_digest=digest, tables=result.manifest)
            write(new_images, new.manifest.to_json().encode())
            metadata.append(new.metadata)
            enough = bool(new.manifest.facts["enough"])
        names = beginning.partitions or choose_partitions(run, result.manifest)
        if len(names) == 1 or has_records(run, run.recipe(recipe, digest), result.manifest):
            names = []
        return [names, digest, enough, metadata]

    return RunBeginning(*pod.call("index", work))


def _source_in_bucket(recipe: str, settings: Sequence[str]) -> str:
    """Return where the source of a recipe is if it names a folder that this pod does not have."""
    with suppress(MammoError):  # `begin` says it
        source = load_recipe(recipe, settings).source
        root = source.root if source is not None else ""  # several sources name their roots
        if root and "://" not in root and not Path(root).exists():
            return f"{SOURCES}/{Path(root).name.replace('_', '-')}"
    return ""


def convert_partition(*, partition: str, tables: str, out: str, **run: Any) -> dict[str, Any]:
    """Convert one partition of the mammograms."""
    result = Pod(**run).step("convert", tables=read(tables), partition=partition)
    return written(result, out)


def sample_partition(*, partition: str, tables: str, out: str, **run: Any) -> dict[str, Any]:
    """Cut the patches of one partition.

    The first of these pods publishes the image dataset of the converted partitions, and converts
    what a lost pod has left.
    """
    pod = Pod(**run)

    def work() -> dict[str, Any]:
        indexed = read(tables)
        images = pod.step("convert", tables=indexed).manifest
        result = pod.step("sample", tables=indexed, images=images, partition=partition)
        return written(result, out)

    metadata: dict[str, Any] = pod.together(f"sample-{partition.replace('/', '-of-')}", work)
    return metadata


def prepare_data(
    *, tables: str, out: str, report: str, **run: Any
) -> tuple[dict[str, str], list[str]]:
    """Convert, publish the features, validate the data and cut the patches.

    Args:
        tables: Path of the tables.
        out: Path of the bundle of tables, images, frame and patches.
        report: Path of the validation's page, which is also written where it fails.
        run: The store and the run: see `Pod`.

    Returns:
        Metadata of the bundle; the networks to train in a pod each, none if there is only one.
    """
    pod = Pod(**run)

    def work() -> list[Any]:
        indexed = read(tables)
        images = pod.step("convert", tables=indexed).manifest
        frame = pod.step("publish-features", tables=indexed, images=images).manifest
        try:
            pod.step("validate-data", images=images, frame=frame)
        finally:
            _show_validation(pod, report)
        patches = pod.step("sample", tables=indexed, images=images).manifest
        bundle = {"tables": indexed, "images": images, "frame": frame, "patches": patches}
        names = network_names(pod.recipe(pod.run()))
        return [write_bundle(out, bundle), names if len(names) > 1 else []]

    metadata, networks = pod.together("prepare-data", work)
    return metadata, networks


def _show_validation(pod: Pod, report: str) -> None:
    run = pod.run()
    facts = run.statuses().get("validate-data", {}).get("facts", {})
    if "report" in facts:
        write(report, run.store.read(facts["report"]))
