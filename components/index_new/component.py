"""Component `index-new`."""

from typing import NamedTuple

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def index_new(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    tables: dsl.Output[dsl.Dataset],
    audit: dsl.Output[dsl.HTML],
    new_images: dsl.Output[dsl.Artifact],
    source: str = "",
    settings: list = [],  # noqa: B006 (KFP wants a plain default)
    partitions: int = 1,
    start: str = "",
    signed: bool = False,
) -> NamedTuple(
    "IndexNewOutputs", [("Output", bool), ("partitions", list), ("recipe_digest", str)]
):
    """Begin a run as `index` does, and find the mammograms that the champion was not trained on.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe, or the recipe itself as JSON.
        tables: Tables of images, lesions and rejects.
        audit: The audit of the source as one HTML page.
        new_images: How many images and patients are new.
        source: URI of the mammograms instead of the recipe's.
        settings: Overrides of the recipe, each key.key=value.
        partitions: Into how many partitions conversion and sampling are divided; 0: as many as
            the bytes of the images are worth.
        start: Model package to start from: a URI, or `champion`.
        signed: Whether the pipeline has the task `check-signing-key`.

    Returns:
        Whether enough images are new to train again (KFP's local runner has conditions on an
        output named Output only), and what `index` returns.
    """
    from mammo_core.at_paths import data_pods

    beginning = data_pods.begin(
        store=store,
        run_id=run_id,
        kfp_run_id=kfp_run_id,
        recipe=recipe,
        tables=tables.path,
        audit=audit.path,
        source=source,
        settings=settings,
        partitions=partitions,
        start=start,
        signed=signed,
        new_images=new_images.path,
    )
    tables.metadata.update(beginning.metadata[0])
    new_images.metadata.update(beginning.metadata[1])
    return beginning.enough, beginning.partitions, beginning.recipe_digest
