"""Component `convert`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def convert(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    tables: dsl.Input[dsl.Dataset],
    images: dsl.Output[dsl.Dataset],
    partitions: list = [],  # noqa: B006 (KFP wants a plain default)
) -> None:
    """Convert the mammograms to image records (Beam).

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        tables: Tables from `index`.
        images: The image dataset.
        partitions: The partitions that other pods have done; the rest is done here.
    """
    from mammo_core import at_paths

    images.metadata.update(
        at_paths.convert(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            tables=tables.path,
            out=images.path,
        )
    )
