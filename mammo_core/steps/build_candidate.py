"""The step that builds the package of a trained and evaluated model."""

import tempfile
from pathlib import Path

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.models.backend import prepare_keras
from mammo_core.packaging.kinds import CANDIDATE, CandidateFacts
from mammo_core.packaging.settings import model_settings
from mammo_core.registry.candidate_package import CandidateInputs, build_candidate_package
from mammo_core.runs import read_start_packages
from mammo_core.steps.step import StepContext, step


@step("build-candidate")
def build_candidate(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
) -> Manifest:
    """Build the package of the model, unsigned, and check it in a new process.

    `duel` scores with it, and `push` publishes its files.
    """
    recipe = context.recipe
    inputs = CandidateInputs(images, frame, patch_training, image_training, evaluation)
    settings = {
        "name": recipe.model_name,
        "recipe": recipe.name,
        "source": recipe.adapters,
        "weights": recipe.image_training.start or recipe.patch_training.network.weights,
        "split": recipe.split.name,
        "acknowledged": ",".join(recipe.acknowledged),
    }
    # Some of these enter none of the outputs: checks of new data, for instance.
    described = model_settings(recipe.model_dump(mode="json"))
    config = {**settings, "settings": described.digest}
    id = CANDIDATE.content_id(config, inputs.content_inputs())

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        from mammo_core.packaging.candidate import put_package

        with tempfile.TemporaryDirectory(prefix="mammo-package-") as temporary:
            folder = Path(temporary) / "package"
            package = build_candidate_package(
                attempt.store,
                folder,
                inputs,
                settings,
                described,
                context.run.id,
                read_start_packages,
            )
            files = put_package(attempt.store, attempt.folder(CANDIDATE.output(id)), folder)
        facts = CandidateFacts(model_id=package.model_id, name=package.name, unit=package.unit)
        lineage = inputs.lineage()
        return Draft(
            CANDIDATE.manifest(id, config=config, files=files, facts=facts, lineage=lineage)
        )

    manifest = context.reuse_or_make(CANDIDATE, id, make)
    context.facts = CANDIDATE.facts_of(manifest).model_dump()
    return manifest
