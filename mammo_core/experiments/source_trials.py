"""What training on several sources is worth: each alone, all but one, and all, tested on each.

Patch classifiers are compared, on the annotated lesions of the same test patients: they are trained
in minutes, and see the look of a vendor as whole images do.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mammo_core import steps
from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecipeError
from mammo_core.experiments.plan import Trial
from mammo_core.models.backend import prepare_keras
from mammo_core.recipes import Recipe
from mammo_core.runs import Run
from mammo_core.sources.several.entry import TRAINING, SourceEntry
from mammo_core.sources.several.names import EXTERNAL, NAME_COLUMN
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: Between the names of the sources that a trial is trained on.
PLUS = " + "
_LEAST = 3
_BATCH = 64


def source_trials(recipe: Recipe, seeds: Sequence[int]) -> list[Trial]:
    """Plan trainings on each source alone, on all but one, and on all.

    Args:
        recipe: A recipe with at least three sources; their roles are those of each trial.
        seeds: The seeds of the trainings.

    Raises:
        RecipeError: There are fewer sources.
    """
    names = [entry.name for entry in recipe.sources]
    if len(names) < _LEAST:
        raise RecipeError(
            "The experiment needs sources to compare",
            expected=f"a recipe with {_LEAST} sources or more",
            received=f"{len(names)} ({', '.join(names) or 'one source'})",
        )
    alone = [(name,) for name in names]
    others = [tuple(each for each in names if each != name) for name in names]
    groups = [*alone, *others, tuple(names)]
    return [
        Trial(
            f"{'-'.join(group)}-seed-{seed}",
            PLUS.join(group),
            (f"seed={seed}", f"sources={_with_roles(recipe.sources, group)}"),
            True,
            {"seed": seed, "sources": list(group)},
        )
        for seed in seeds
        for group in groups
    ]


def _with_roles(entries: Sequence[SourceEntry], training: Iterable[str]) -> str:
    """The sources as JSON, all but the named ones external."""
    chosen = set(training)
    values: list[dict[str, Any]] = []
    for entry in entries:
        value = entry.model_dump(mode="json", exclude_none=True)
        value |= {"role": TRAINING} if entry.name in chosen else {"role": EXTERNAL, "weight": 1.0}
        values.append(value)
    return json.dumps(values)


def source_scores(run: Run, recipe: Recipe) -> tuple["pd.DataFrame", Manifest]:
    """Train the patch classifier of a trial, and score the lesions that it was not fitted to.

    Args:
        run: The run of the trial.
        recipe: Its recipe.

    Returns:
        A row for each lesion of an image in the test split or of an external source: image_id (of
        the lesion: image, slash, lesion), patient_key, label (1: malignant), probability (share
        of the malignant classes in those of lesions, mean of its patches), source_name, split,
        trained_on (number of training patches); and the frame.
    """
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    frame = steps.publish_features(run, tables=tables, images=images)
    patches = steps.sample(run, tables=tables, images=images)
    training = steps.train_patch(run, patches=patches, frame=frame)
    prepare_keras()
    return _lesion_scores(run.store, recipe, patches, frame, training), frame


def _lesion_scores(
    store: Store, recipe: Recipe, patches: Manifest, frame: Manifest, training: Manifest
) -> "pd.DataFrame":
    import pandas as pd

    from mammo_core.datasets.readers import RecordSource
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.training import predict
    from mammo_core.training.kinds import PATCH_TRAINING
    from mammo_core.training.networks import load_network

    data, classes = frame_from_manifest(store, frame), recipe.label_map.classes
    table = read_table(store, patches, "patches.parquet")
    labels = {
        id: label
        for split in ("test", EXTERNAL)
        for id, label in data.patch_labels(table, split, recipe.label_map).items()
        if label
    }
    source = RecordSource(store, patches, labels, classes=len(classes), batch_size=_BATCH)
    preprocessing = PATCH_TRAINING.facts_of(training).preprocessing
    model = load_network(store, training)
    ids, probabilities, _ = predict(model, source, preprocessing.to_network)
    is_malignant = [bool(c.lesions) and all(n.endswith("_mal") for n in c.lesions) for c in classes]
    share = probabilities[:, is_malignant].sum(axis=1) / probabilities[:, 1:].sum(axis=1)
    scored = pd.DataFrame({"patch_id": ids, "probability": share.astype(float)})
    scored = scored.merge(table[["patch_id", "lesion_id"]], on="patch_id", validate="one_to_one")
    means = scored.groupby("lesion_id")["probability"].mean()
    lesions = data.lesions[data.lesions["lesion_id"].isin(means.index)]
    names = data.source_names()
    return (
        pd.DataFrame(
            {
                "image_id": lesions["image_id"] + "/" + lesions["lesion_id"],
                "patient_key": lesions["patient_key"],
                "label": lesions["patch_class"].str.endswith("_mal").astype(int),
                "probability": lesions["lesion_id"].map(means),
                NAME_COLUMN: lesions["image_id"].map(names),
                "split": lesions["split"],
            }
        )
        .assign(trained_on=len(data.patch_labels(table, "train", recipe.label_map)))
        .sort_values("image_id", ignore_index=True)
    )
