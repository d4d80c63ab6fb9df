"""Component `start-from`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def start_from(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    patch_training: dsl.Output[dsl.Model],
) -> None:
    """Take the patch classifier out of the model package that training starts from.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe; `image_training.start` names the package.
        recipe_digest: Digest of the run's recipe, from `index`.
        patch_training: The patch classifier.
    """
    from mammo_core import at_paths

    patch_training.metadata.update(
        at_paths.start_from(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            out=patch_training.path,
        )
    )
