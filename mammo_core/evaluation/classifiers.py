"""Evaluate a patch classifier and a whole-image classifier with numbers and a report."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.evaluation.aggregate import unit_of
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.inference import evaluate_patches, image_predictions, leaking_images
from mammo_core.evaluation.kinds import EVALUATION, EvaluationFacts, EvaluationSummary
from mammo_core.evaluation.lesion_sizes import lesion_sizes
from mammo_core.evaluation.localization.measure import measure_localization
from mammo_core.evaluation.localization.views import Heater, shown_views
from mammo_core.evaluation.pictures import heatmap_overlays, patch_examples
from mammo_core.evaluation.report import tables as report_tables
from mammo_core.evaluation.report import wording
from mammo_core.evaluation.report.run import report
from mammo_core.evaluation.screening import evaluate_screening
from mammo_core.evaluation.source_matrix import SourceResult, evaluate_sources, source_aucs
from mammo_core.evaluation.whole_image import evaluate
from mammo_core.features.frame import SPLIT_COUNTS, SPLITS, Frame, frame_from_manifest
from mammo_core.features.withheld import withheld_lines
from mammo_core.sampling import LabelMap
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.names import EXTERNAL
from mammo_core.sources.splitting.splits import SplitConfig
from mammo_core.store import Store
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING
from mammo_core.training.networks import load_network, read_history

#: What the report says about a network that takes both views of a breast.
_PER_BREAST = {
    "Probability": "of a breast, from both of its views: each of its images has it, and numbers "
    "per breast count it once"
}


@dataclass(frozen=True)
class EvaluationInputs:
    """The outputs that an evaluation is made from.

    Attributes:
        images: The image dataset.
        patches: The patch dataset.
        frame: The frame.
        patch_training: The patch classifier.
        image_training: The whole-image classifier.
    """

    images: Manifest
    patches: Manifest
    frame: Manifest
    patch_training: Manifest
    image_training: Manifest

    @property
    def lineage(self) -> dict[str, str]:
        """Name → id of each output."""
        return {name: manifest.id for name, manifest in vars(self).items()}


@dataclass(frozen=True)
class EvaluationOptions:
    """The options of an evaluation.

    Attributes:
        recipe: Name of the recipe.
        config: What is measured.
        label_map: The classes of patches.
        split: How patients were divided.
        seed: Seed of the bootstrap.
    """

    recipe: str
    config: EvaluationConfig
    label_map: LabelMap
    split: SplitConfig
    seed: int


def make_evaluation(
    attempt: Attempt,
    id: str,
    settings: Mapping[str, Any],
    inputs: EvaluationInputs,
    options: EvaluationOptions,
    print_line: Callable[[str], None],
) -> Draft:
    """Score the test split with both classifiers; write predictions, numbers and report.

    Args:
        attempt: The attempt to make the evaluation.
        id: Id of the evaluation.
        settings: The configuration that entered the id.
        inputs: What is evaluated.
        options: How it is evaluated.
        print_line: Prints a line.
    """
    from mammo_core.models import fully_convolutional

    store = attempt.store
    config, seed, label_map = options.config, options.seed, options.label_map
    images, patches = inputs.images, inputs.patches
    frame = frame_from_manifest(store, inputs.frame)
    image_model = load_network(store, inputs.image_training)
    patch_model = load_network(store, inputs.patch_training)
    preprocessing = IMAGE_TRAINING.facts_of(inputs.image_training).preprocessing

    def predict(rows: pd.DataFrame, config: EvaluationConfig = config) -> pd.DataFrame:
        return image_predictions(store, images, rows, image_model, preprocessing, config)

    predictions = {split: predict(frame.split(split)) for split in ("test", "validation")}
    sizes = lesion_sizes(store, images, frame, predictions["test"], preprocessing)
    predictions["test"] = predictions["test"].assign(lesion_size=sizes)
    external = predict(frame.split(EXTERNAL)) if frame.facts.sources else None
    other_flips = None
    if config.rules_for_other_flips:
        other = config.model_copy(update={"flips": not config.flips})
        other_flips = predict(frame.split("validation"), other)
    leaking, leaking_rows = _leaking_patients(store, images, frame, options.split)
    result = evaluate(
        predictions["test"],
        predictions["validation"],
        config,
        seed,
        leaking=leaking,
        leaked=predict(leaking_rows) if len(leaking_rows) else None,
        other_flips=other_flips,
    )
    table = read_table(store, patches, "patches.parquet")
    labels = frame.patch_labels(table, "test", label_map)
    patch_result = evaluate_patches(
        store,
        patches,
        frame,
        labels,
        patch_model,
        preprocessing,
        classes=label_map.names,
        replicates=config.bootstrap_replicates,
        seed=seed,
    )
    per_breast = unit_of(image_model) == "breast"
    line = f"test AUC {result.auc:.4f}"
    if per_breast and result.breast_auc is not None:
        line += f" per image, {result.breast_auc.value:.4f} per breast"
    print_line(f"{line}, patch accuracy {patch_result.accuracy:.4f}")

    patch_size = PATCH_TRAINING.facts_of(inputs.patch_training).patch_size
    heater = Heater(
        fully_convolutional(patch_model, patch_size), preprocessing, patch_size, label_map
    )
    overlays, regions = heatmap_overlays(
        store, images, frame, predictions["test"], heater, config.overlays
    )
    localization, marks = None, None
    if config.localization:
        localization, marks = measure_localization(
            shown_views(store, images, frame, predictions["test"], heater),
            distance=patch_size // 2,
            replicates=config.bootstrap_replicates,
            seed=seed,
        )
    screening = evaluate_screening(
        predictions["test"], predictions["validation"], result.rules, config, seed
    )
    by_source: tuple[SourceResult, ...] = ()
    if external is not None:
        by_source = evaluate_sources(
            predictions["test"], external, frame.facts.sources, result.rules, config, seed
        )
        predictions |= {EXTERNAL: external} if len(external) else {}
    html = report(
        title=f"{options.recipe}: evaluation",
        facts={
            "Recipe": options.recipe,
            "Labels": "permuted over patients (a check)" if frame.shuffled_labels else "as given",
            "Image dataset": images.id,
            "Patch dataset": patches.id,
            "Frame": frame.id,
            "Patch training": inputs.patch_training.id,
            "Whole-image training": inputs.image_training.id,
            "Leaking patients": len(frame.facts.leaking_patients),
            "On no side": "; ".join(withheld_lines(frame.facts.withheld)) or "nobody",
            **(_PER_BREAST if per_breast else {}),
            **(
                {"Decision rules": f"also for scores {'without' if config.flips else 'with'} flips"}
                if config.rules_for_other_flips
                else {}
            ),
        },
        result=result,
        dataset_counts=_dataset_counts(frame),
        patches=patch_result,
        histories={
            "Patch classifier": read_history(store, inputs.patch_training),
            "Whole-image classifier": read_history(store, inputs.image_training),
        },
        patch_examples=patch_examples(store, patches, labels, label_map.names, seed),
        errors=report_tables.errors_table(predictions["test"], result),
        overlays=overlays,
        regions=regions,
        localization=localization,
        screening=screening,
        by_source=by_source,
        rejects=_rejects(store, inputs),
    )
    metrics = {
        "image": result.model_dump(mode="json"),
        "patch": patch_result.model_dump(mode="json"),
        **{
            name: part.model_dump(mode="json")
            for name, part in (("localization", localization), ("screening", screening))
            if part is not None
        },
        **({"sources": [each.model_dump(mode="json") for each in by_source]} if by_source else {}),
    }
    rules = f"{result.rules.model_dump_json()}\n"
    contents = {
        "report.html": html,
        "summary.md": wording.markdown(result, patch_result),
        "decision_rules.json": rules,
        "metrics.json": json.dumps(metrics, sort_keys=True, indent=1),
    }
    folder = attempt.folder(EVALUATION.output(id))
    files = [put_bytes(store, folder, name, text.encode()) for name, text in contents.items()]
    files += [
        put_table(store, folder, f"{split}.parquet", rows) for split, rows in predictions.items()
    ]
    if marks is not None:
        files.append(put_table(store, folder, "marks.parquet", marks))
    summary = EvaluationSummary(
        patch_accuracy=patch_result.accuracy,
        **result.summary(),
        n_test_patches=patch_result.n_patches,
    )
    return Draft(
        EVALUATION.manifest(
            id,
            config=settings,
            files=files,
            counts={"test_images": result.n_images, "test_patches": patch_result.n_patches},
            facts=EvaluationFacts(
                summary=summary,
                shuffled_labels=frame.shuffled_labels,
                withheld=frame.facts.withheld,
                sources=source_aucs(by_source),
            ),
            lineage=inputs.lineage,
        ),
    )


def publish_image_scores(
    store: Store, evaluation: Manifest, frame: Manifest, model_id: str
) -> None:
    """Publish the probabilities of the images of an evaluation as features.

    Args:
        store: The object store.
        evaluation: The evaluation.
        frame: The frame that it was made on.
        model_id: Id of the training that computed them.
    """
    from mammo_core.features import MAIN, publish_scores

    tables = [read_table(store, evaluation, f"{name}.parquet") for name in ("test", "validation")]
    publish_scores(
        store,
        pd.concat(tables, ignore_index=True),
        folder=str(frame.config.get("folder", MAIN)),
        model_id=model_id,
        evaluation_id=evaluation.id,
    )


def _dataset_counts(frame: Frame) -> list[dict[str, Any]]:
    """What is in each split, of each source where there are several."""
    rows = [
        {"split": split, **{name: frame.facts.splits[split][name] for name in SPLIT_COUNTS}}
        for split in SPLITS
    ]
    for source, facts in frame.facts.sources.items():
        rows += [
            {"split": split, "source": source, **{name: counts[name] for name in SPLIT_COUNTS}}
            for split, counts in facts["splits"].items()
        ]
    return rows


def _leaking_patients(
    store: Store, images: Manifest, frame: Frame, split: SplitConfig
) -> tuple[list[str], pd.DataFrame]:
    """Patients on both sides of the official split, and their test images that were left out.

    None where the split or the labels are not the official ones.
    """
    if not split.name.startswith("official") or frame.shuffled_labels:
        return [], frame.images[:0]
    tables = TABLES.find(store, images.lineage["tables"])
    drops_test = split.leak == "drop_from_test"
    rows = leaking_images(store, images, frame, tables, drops_test)
    return list(frame.facts.leaking_patients), rows


def _rejects(store: Store, inputs: EvaluationInputs) -> list[dict[str, Any]]:
    """The rows of the rejects tables of a run's data."""
    tables = TABLES.find(store, inputs.images.lineage["tables"])
    outputs = [inputs.images, inputs.patches]
    rows: list[dict[str, Any]] = []
    for manifest in outputs if tables is None else [tables, *outputs]:
        table = read_table(store, manifest, "rejects.parquet")
        rows += [
            {str(key): value for key, value in row.items()} for row in table.to_dict("records")
        ]
    return rows
