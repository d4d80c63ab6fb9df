"""Component `index`."""

from typing import NamedTuple

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def index(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    tables: dsl.Output[dsl.Dataset],
    audit: dsl.Output[dsl.HTML],
    source: str = "",
    settings: list = [],  # noqa: B006 (KFP wants a plain default)
    partitions: int = 1,
    start: str = "",
    signing_key_id: str = "",
) -> NamedTuple("IndexOutputs", [("Output", list), ("recipe_digest", str)]):
    """Begin a run: resolve its recipe; find and describe the mammograms of its source.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe, or the recipe itself as JSON.
        tables: Tables of images, lesions and rejects.
        audit: The audit of the source as one HTML page.
        source: URI of the mammograms instead of the recipe's.
        settings: Overrides of the recipe, each key.key=value.
        partitions: Into how many partitions conversion and sampling are divided.
        start: Model package to start from: a URI, or `champion`.
        signing_key_id: Id of the signing key, from `check-signing-key`; empty: not checked.

    Returns:
        The partitions of conversion and sampling as items of a loop (KFP's local runner loops only
        over an output named Output), and the digest of the run's recipe.
    """
    from mammo_core import at_paths

    loop_items, recipe_digest = at_paths.begin(
        store=store,
        run_id=run_id,
        kfp_run_id=kfp_run_id,
        recipe=recipe,
        source=source,
        settings=settings,
        partitions=partitions,
        start=start,
        signing_key_id=signing_key_id,
    )
    tables.metadata.update(
        at_paths.index(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            out=tables.path,
        )
    )
    at_paths.show_page(store, tables.path, audit.path, "audit.html")
    return loop_items, recipe_digest
