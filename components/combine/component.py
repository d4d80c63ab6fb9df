"""Component `combine`."""

from typing import List  # noqa: UP035 (KFP reads this form of a list of artifacts)

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def combine(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    patch_trainings: dsl.Input[List[dsl.Model]],  # noqa: UP006
    image_trainings: dsl.Input[List[dsl.Model]],  # noqa: UP006
    patch_training: dsl.Output[dsl.Model],
    image_training: dsl.Output[dsl.Model],
) -> None:
    """Make one classifier of the trained networks: their mean; one alone stays as it is.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe; its `members` hold the weights.
        recipe_digest: Digest of the run's recipe, from `index`.
        patch_trainings: The patch classifiers.
        image_trainings: The whole-image classifiers, in the same order.
        patch_training: The patch classifier that draws the heatmaps.
        image_training: The classifier that is evaluated.
    """
    from mammo_core import at_paths

    image_training.metadata.update(
        at_paths.combine(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            patch_trainings=[training.path for training in patch_trainings],
            image_trainings=[training.path for training in image_trainings],
            patch_out=patch_training.path,
            out=image_training.path,
        )
    )
