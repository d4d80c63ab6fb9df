"""The training pipeline in the test's own process: its steps, called as functions."""

from collections.abc import Sequence

from mammo_core import steps
from mammo_core.datasets import Manifest
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.store import Store


def begin_run(store: Store, run_id: str, recipe: str, settings: Sequence[str] = ()) -> Run:
    """Create the record of a run with its resolved recipe."""
    run = Run(store, run_id)
    run.write_recipe(load_recipe(recipe, settings))
    return run


def run_training(run: Run) -> dict[str, Manifest]:
    """Run all steps of one network up to the gate, and push the model if it passed.

    Returns:
        Name → output: tables, images, frame, patches, patch_training, image_training, evaluation,
        candidate, duel, decision, and the model if it was pushed.
    """
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    frame = steps.publish_features(run, tables=tables, images=images)
    steps.validate_data(run, images=images, frame=frame)
    patches = steps.sample(run, tables=tables, images=images)
    patch_training = steps.train_patch(run, patches=patches, frame=frame)
    data = {"images": images, "frame": frame}
    image_training = steps.train_image(run, **data, patch_training=patch_training)
    networks = {"patch_training": patch_training, "image_training": image_training}
    evaluation = steps.evaluate(run, **data, patches=patches, **networks)
    candidate = steps.build_candidate(run, **data, **networks, evaluation=evaluation)
    duel = steps.duel(run, tables=tables, frame=frame, candidate=candidate)
    decision = steps.gate(run, evaluation=evaluation, duel=duel)
    outputs = {
        "tables": tables,
        **data,
        "patches": patches,
        **networks,
        "evaluation": evaluation,
        "candidate": candidate,
        "duel": duel,
        "decision": decision,
    }
    if decision.facts["passed"]:
        outputs["model"] = steps.push(run, candidate=candidate, decision=decision)
    return outputs
