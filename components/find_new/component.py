"""Component `find-new`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def find_new(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    tables: dsl.Input[dsl.Dataset],
    new_images: dsl.Output[dsl.Artifact],
) -> bool:
    """Find the mammograms that the champion was not trained on.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        tables: Tables from `index`.
        new_images: How many images and patients are new.

    Returns:
        Whether there are enough of them to train again.
    """
    from mammo_core import at_paths

    new_images.metadata.update(
        at_paths.find_new(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            tables=tables.path,
            out=new_images.path,
        )
    )
    return at_paths.is_enough(new_images.path)
