"""The steps that combine trained networks, or take one from a package."""

from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.errors import ModelError
from mammo_core.models.backend import prepare_keras
from mammo_core.preprocessing import Preprocessing
from mammo_core.steps.step import StepContext, step
from mammo_core.training.kinds import (
    IMAGE_TRAINING,
    PATCH_TRAINING,
    PatchTrainingFacts,
    lineage_of_members,
)
from mammo_core.training.networks import load_network, read_history

if TYPE_CHECKING:
    pass


@step("combine")
def combine(context: StepContext, image_trainings: list[Manifest]) -> Manifest:
    """Combine the members into one classifier: the weighted mean of their probabilities.

    A single network stays as it is.
    """
    if len(image_trainings) == 1:
        return context.reuse(image_trainings[0])
    store, members = context.store, context.recipe.members
    weights = [member.weight for member in members]
    settings: dict[str, Any] = {
        "members": [member.name for member in members],
        "weights": weights,
    }
    two_view = image_trainings[0].config.get("two_view")
    if two_view is not None:
        settings["two_view"] = two_view
    facts = [IMAGE_TRAINING.facts_of(training) for training in image_trainings]
    if any(other.preprocessing != facts[0].preprocessing for other in facts):
        raise ModelError(
            "The members of the ensemble do not take the same input",
            expected="one preprocessing: the same channels, mean and scale",
            received="different ones",
            hint="networks of 1 and of 3 channels cannot be combined",
        )
    ids = tuple(training.id for training in image_trainings)
    id = IMAGE_TRAINING.content_id(settings, [(IMAGE_TRAINING.folder, id) for id in ids])

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        from mammo_core.models.ensemble import average
        from mammo_core.packaging.trained_network import draft_network

        networks = [load_network(store, training) for training in image_trainings]
        history = [row for item in image_trainings for row in read_history(store, item)]
        manifest = IMAGE_TRAINING.manifest(
            id,
            config=settings,
            facts=facts[0].model_copy(update={"members": ids}),
            lineage={**image_trainings[0].lineage, **lineage_of_members(ids)},
        )
        return draft_network(attempt, manifest, average(networks, weights), history)

    return context.reuse_or_make(IMAGE_TRAINING, id, make)


@step("start-from")
def start_from(context: StepContext) -> Manifest:
    """Take the patch classifier from the package that training starts from."""
    from mammo_core.packaging.contents import PATCH_MODEL
    from mammo_core.packaging.start_contract import ExpectedStart, require_same_start
    from mammo_core.registry import open_package

    uri = context.recipe.image_training.start
    package = open_package(uri)
    folder = package.folder
    network = folder / PATCH_MODEL
    if not network.is_file():
        raise ModelError(
            f"The package {uri} has no patch classifier",
            expected=f"a package with {PATCH_MODEL}",
            received=f"model id {package.model_id}, without one",
        )
    recipe = context.recipe
    expected = ExpectedStart(
        geometry=recipe.convert.geometry,
        conversion=recipe.convert.conversion,
        intensity=recipe.intensity,
        patch_classes=recipe.label_map.names,
        allowed=recipe.image_training.start_differences,
    )
    for text in require_same_start(uri, folder, expected):
        context.say(f"the start package was trained on other images: {text}")
    settings = {"start": "package"}
    id = PATCH_TRAINING.content_id(settings, [("package", package.model_id)])

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        from mammo_core.models import load_model
        from mammo_core.packaging.contents import read_json
        from mammo_core.packaging.trained_network import draft_network

        package.verify_again()
        model = load_model(network)
        labels = read_json(folder, "label_map.json")["patch"]
        manifest = PATCH_TRAINING.manifest(
            id,
            config=settings,
            facts=PatchTrainingFacts(
                classes=tuple(sorted(labels, key=labels.get)),
                patch_size=int(model.input_shape[1] or context.recipe.sampling.patch_size),
                preprocessing=Preprocessing.model_validate_json(
                    (folder / "preprocessing.json").read_text()
                ),
            ),
            lineage={"package": package.model_id},
        )
        return draft_network(attempt, manifest, model, [])

    manifest = context.reuse_or_make(PATCH_TRAINING, id, make)
    context.facts = {"start": uri, "model_id": package.model_id}
    return manifest
