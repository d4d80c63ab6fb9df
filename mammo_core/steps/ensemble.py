"""The steps that bring trained networks together, or take them out of a package."""

import json
import tempfile
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, content_id, publish
from mammo_core.datasets.manifests import StoredFile, fetch_verified, put_bytes
from mammo_core.errors import ModelError
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.networks import load_network, prepare_keras
from mammo_core.steps.train import IMAGE_TRAINING, PATCH_TRAINING

#: Raised by hand when what is stored of a combination, or of a start, changes.
COMBINE_REVISION = 1
START_REVISION = 1


@step("combine")
def combine(
    context: StepContext,
    patch_trainings: list[Manifest],
    image_trainings: list[Manifest],
    patch_out: str,
) -> Manifest:
    """Make one classifier of the members: the weighted mean of their probabilities.

    One network alone stays as it is. The first member's patch classifier draws the heatmaps.
    """
    # KFP collects in the order of the members; nothing else says which training is whose.
    Path(patch_out).parent.mkdir(parents=True, exist_ok=True)
    Path(patch_out).write_text(patch_trainings[0].to_json())
    if len(image_trainings) == 1:
        context.found = True
        return image_trainings[0]
    members = context.recipe.members
    weights = [member.weight for member in members]
    settings: dict[str, Any] = {"members": [one.name for one in members], "weights": weights}
    two_view = image_trainings[0].config.get("two_view")
    if two_view is not None:
        settings["two_view"] = two_view
    inputs = [(training.kind, training.id) for training in image_trainings]
    id = content_id(IMAGE_TRAINING, COMBINE_REVISION, settings, inputs)
    first = image_trainings[0]
    for training in image_trainings:
        if training.facts["preprocessing"] != first.facts["preprocessing"]:
            raise ModelError(
                "The members of the ensemble do not take the same input",
                expected="one preprocessing: the same channels, mean and scale",
                received="different ones",
                hint="networks of 1 and of 3 channels cannot be mixed",
            )

    def make() -> Manifest:
        prepare_keras()
        from mammo_core.models.ensemble import average

        networks = [load_network(context, training) for training in image_trainings]
        return _publish(
            context,
            Manifest(
                kind=IMAGE_TRAINING,
                id=id,
                revision=COMBINE_REVISION,
                config=settings,
                files=(),
                facts={**first.facts, "members": [training.id for training in image_trainings]},
                lineage={**first.lineage, "members": ",".join(t.id for t in image_trainings)},
            ),
            average(networks, weights),
            _histories(context, image_trainings),
        )

    return context.find_or_make(IMAGE_TRAINING, id, make)


@step("start-from")
def start_from(context: StepContext) -> Manifest:
    """Take the patch classifier out of the package that training starts from."""
    from mammo_core.packaging.contents import PATCH_MODEL
    from mammo_core.packaging.package import verify
    from mammo_core.registry import resolve

    uri = context.recipe.image_training.start
    folder = resolve(uri)
    package = verify(folder)
    network = folder / PATCH_MODEL
    if not network.is_file():
        raise ModelError(
            f"The package {uri} has no patch classifier",
            expected=f"a package with {PATCH_MODEL}",
            received=f"model id {package.model_id}, without one",
        )
    inputs = [("package", package.model_id)]
    id = content_id(PATCH_TRAINING, START_REVISION, {"start": "package"}, inputs)

    def make() -> Manifest:
        prepare_keras()
        from mammo_core.models import load_model

        model = load_model(network)
        labels = json.loads((folder / "label_map.json").read_text())["patch"]
        preprocessing = json.loads((folder / "preprocessing.json").read_text())
        return _publish(
            context,
            Manifest(
                kind=PATCH_TRAINING,
                id=id,
                revision=START_REVISION,
                config={"start": "package"},
                files=(),
                facts={
                    "classes": sorted(labels, key=labels.get),
                    "patch_size": int(model.input_shape[1] or context.recipe.sampling.patch_size),
                    "preprocessing": preprocessing,
                    "warnings": [],
                    "best_epoch": 0,
                    "best_value": None,
                },
                lineage={"package": package.model_id},
            ),
            model,
            [],
        )

    manifest = context.find_or_make(PATCH_TRAINING, id, make)
    context.facts = {"start": uri, "model_id": package.model_id}
    return manifest


def _publish(
    context: StepContext, manifest: Manifest, model: Any, history: list[dict[str, Any]]
) -> Manifest:
    from mammo_core.packaging.keras_file import write_model

    store, folder = context.store, manifest.folder
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as aside:
        path = Path(aside) / "model.keras"
        write_model(model, path)
        network = put_bytes(store, folder, "model.keras", path.read_bytes())
    rows = json.dumps(history, sort_keys=True, indent=1).encode()
    files: tuple[StoredFile, ...] = (network, put_bytes(store, folder, "history.json", rows))
    counts = {"epochs": len(history), "parameters": int(model.count_params())}
    return publish(store, manifest.model_copy(update={"files": files, "counts": counts}))


def _histories(context: StepContext, trainings: list[Manifest]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for training in trainings:
        stored = fetch_verified(context.store, training.file("history.json"))
        rows += json.loads(stored.read_bytes())
    return rows
