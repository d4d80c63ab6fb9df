"""Component `push`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def push(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    candidate: dsl.Input[dsl.Model],
    decision: dsl.Input[dsl.Artifact],
    model: dsl.Output[dsl.Model],
) -> None:
    """Publish the package as the next version of the model, signed, and as champion.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        candidate: The package of the model, from `evaluate`.
        decision: The gate's decision.
        model: The pushed version.
    """
    from mammo_core import at_paths

    model.metadata.update(
        at_paths.push(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            candidate=candidate.path,
            decision=decision.path,
            out=model.path,
        )
    )
