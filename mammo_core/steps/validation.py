"""The steps before training: is there enough new data, and is it like the champion's?"""

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.errors import SourceError
from mammo_core.features.frame import frame_from_manifest
from mammo_core.features.kinds import (
    NEW_IMAGES,
    VALIDATION,
    VALIDATION_PAGE,
    NewImagesFacts,
)
from mammo_core.registry import champion
from mammo_core.registry.champion_data import (
    champion_frame,
    has_same_conversion,
    new_since_champion,
)
from mammo_core.runs.retraining import claim_retraining
from mammo_core.steps.step import StepContext, step


@step("validate-data")
def validate_data(context: StepContext, images: Manifest, frame: Manifest) -> Manifest:
    """Compare the new frame with the champion's; fail where it is beyond the limits.

    It fails first where a split lacks a class, so that no network can be trained or tested on it.
    The page of a validation is published in either case; its key is the fact `report` of the
    step. Test patients that the champion was fitted to are left out by `duel`.
    """
    recipe, store = context.recipe, context.store
    config = recipe.validation
    _check_splits(context, frame)
    current = champion(store, recipe.model_name)
    old_frame, obstacle = champion_frame(store, current)
    same_conversion = current is None or has_same_conversion(store, images, current)
    settings = config.model_dump(mode="json")
    id = VALIDATION.content_id(
        {
            **settings,
            "champion": old_frame.id if old_frame else "",
            "obstacle": obstacle,
            "same_conversion": same_conversion,
        },
        [(frame.kind, frame.id), (images.kind, images.id)],
    )

    def make(attempt: Attempt) -> Draft:
        from mammo_core.features.data_checks.validation_report import draft_validation

        return draft_validation(
            attempt,
            id,
            config,
            frame=frame,
            images=images,
            champion=old_frame,
            no_champion_reason=obstacle,
            same_conversion=same_conversion,
            title=f"{recipe.name}: data validation",
        )

    manifest = context.reuse_or_make(VALIDATION, id, make)
    facts, page = VALIDATION.facts_of(manifest), manifest.file(VALIDATION_PAGE)
    context.note(**manifest.facts, report=page.key)
    for line in (*facts.failures, *facts.notes):
        context.say(line)
    if not facts.passed:
        raise SourceError(
            f"The new data is not like the champion's ({len(facts.failures)} checks failed): "
            f"{facts.failures[0]}",
            expected="data within the limits of the recipe's `validation`",
            received=f"the data shown in {store.uri}/{page.key}",
            hint="train a new model on purpose under another model_name, or raise the limits",
        )
    context.say("the data is like the champion's" if old_frame else "passed")
    return manifest


def _check_splits(context: StepContext, frame: Manifest) -> None:
    """Fail where a split lacks a class that a training or the test needs."""
    from mammo_core.sources.splitting.trainability import require_trainable, split_obstacles

    recipe = context.recipe
    data = frame_from_manifest(context.store, frame)
    obstacles = split_obstacles(
        data.images,
        data.lesions,
        has_start=bool(recipe.image_training.start),
        split_name=recipe.split.name,
        selections={
            "patch": recipe.patch_training.selection,
            "image": recipe.image_training.selection,
        },
        patch_classes=[
            (c.name, frozenset(c.lesions)) for c in recipe.label_map.classes if c.lesions
        ],
    )
    require_trainable(obstacles, "")


@step("find-new")
def find_new(context: StepContext, tables: Manifest) -> Manifest:
    """Count the images that are new since the champion's frame; decide whether they are enough.

    They are not while another run trains this champion on: two schedules, or one and a person, may
    overlap.
    """
    recipe, store = context.recipe, context.store
    current = champion(store, recipe.model_name)
    old_frame, obstacle = champion_frame(store, current)
    new = new_since_champion(store, tables, current, old_frame)
    least = recipe.retrain.min_new_images
    enough = new.count >= least
    summary = (
        f"{len(new.image_ids)} new images of {new.patients} patients, {len(new.relabeled)} "
        f"with another label: {'enough' if enough else 'too few'} (at least {least})"
    )
    other = ""
    if enough and current is not None:
        other = claim_retraining(context.run, recipe.model_name, current.uri)
    if other:
        enough = False
        summary += f"; the run {other} trains this champion on, so this run ends early"
    if old_frame is None:
        context.say(obstacle)
    else:
        context.say(f"since the frame {old_frame.id} of the champion:")
    context.say(summary)
    facts = NewImagesFacts(
        enough=enough,
        min_new_images=least,
        champion_frame=old_frame.id if old_frame else "",
        champion_uri=current.uri if current else "",
        summary=summary,
    )
    context.facts = facts.model_dump()
    id = NEW_IMAGES.content_id(
        {**context.facts, "relabeled": list(new.relabeled)},
        [(tables.kind, tables.id), *((image_id, "") for image_id in new.image_ids)],
    )

    def make(attempt: Attempt) -> Draft:
        return Draft(
            NEW_IMAGES.manifest(
                id,
                config=recipe.retrain.model_dump(mode="json"),
                counts={
                    "new_images": len(new.image_ids),
                    "new_patients": new.patients,
                    "relabeled_images": len(new.relabeled),
                },
                facts=facts,
                lineage={"tables": tables.id},
            ),
        )

    return context.reuse_or_make(NEW_IMAGES, id, make)
