"""Component `publish-features`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def publish_features(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    tables: dsl.Input[dsl.Dataset],
    images: dsl.Input[dsl.Dataset],
    frame: dsl.Output[dsl.Dataset],
) -> None:
    """Publish labels, splits and statistics to the feature store, and the frame of this run.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        tables: Tables from `index`.
        images: The image dataset.
        frame: Which image or lesion, which label, which split.
    """
    from mammo_core import at_paths

    frame.metadata.update(
        at_paths.publish_features(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            tables=tables.path,
            images=images.path,
            out=frame.path,
        )
    )
