"""Component `release`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def release(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    evaluation: dsl.Input[dsl.Artifact],
    duel: dsl.Input[dsl.Artifact],
    candidate: dsl.Input[dsl.Model],
    decision: dsl.Output[dsl.Artifact],
    comparison: dsl.Output[dsl.HTML],
    model: dsl.Output[dsl.Model],
) -> None:
    """Decide whether the model is good enough and no worse than the champion; push it if it is.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        evaluation: The evaluation of the model.
        duel: The duel with the champion.
        candidate: The package of the model, from `evaluate`.
        decision: The decision with its reasons.
        comparison: The comparison with the champion as one HTML page.
        model: The pushed version, signed, the next champion; empty if the model did not pass.
    """
    from mammo_core.at_paths import pods

    decision_metadata, model_metadata = pods.release(
        store=store,
        run_id=run_id,
        kfp_run_id=kfp_run_id,
        recipe=recipe,
        recipe_digest=recipe_digest,
        evaluation=evaluation.path,
        duel=duel.path,
        candidate=candidate.path,
        decision=decision.path,
        comparison=comparison.path,
        model=model.path,
    )
    decision.metadata.update(decision_metadata)
    model.metadata.update(model_metadata)
