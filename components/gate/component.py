"""Component `gate`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def gate(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    evaluation: dsl.Input[dsl.Artifact],
    duel: dsl.Input[dsl.Artifact],
    decision: dsl.Output[dsl.Artifact],
    comparison: dsl.Output[dsl.HTML],
) -> bool:
    """Decide whether the model may be pushed: good enough, and no worse than the champion.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        evaluation: The evaluation of the model.
        duel: The duel with the champion.
        decision: The decision with its reasons.
        comparison: The comparison with the champion as one HTML page.

    Returns:
        Whether to push.
    """
    from mammo_core import at_paths

    decision.metadata.update(
        at_paths.gate(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            evaluation=evaluation.path,
            duel=duel.path,
            out=decision.path,
        )
    )
    at_paths.show_page(store, decision.path, comparison.path, "comparison.html")
    return at_paths.is_passed(decision.path)
