"""The Feast definitions: the entities, and the features of each.

Feast is imported inside the functions: only this package needs it, and it takes seconds.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

#: A `flag` is yes, no or unknown: 1, 0 or missing in Feast, True, False or None in frames.
Kind = Literal["text", "integer", "number", "flag"]


@dataclass(frozen=True)
class ViewDefinition:
    """A feature view.

    Attributes:
        name: Name in Feast, and folder in the store.
        keys: Join keys of the entities.
        fields: (feature, kind) of each feature.
        optional: Features that may be missing: NaN for numbers and flags, an empty text for
            texts.
    """

    name: str
    keys: tuple[str, ...]
    fields: tuple[tuple[str, Kind], ...]
    optional: frozenset[str] = frozenset()

    @property
    def columns(self) -> list[str]:
        """Keys and features, in order."""
        return [*self.keys, *(name for name, _ in self.fields)]


#: What an image is and when its exam was, under the names of the table of images.
MEANING: tuple[tuple[str, Kind], ...] = (
    ("exam_key", "text"),
    ("exam_day", "number"),
    ("view_class", "text"),
    ("view_modifiers", "text"),
    ("image_type", "text"),
    ("implant", "flag"),
    ("partial_view", "flag"),
    ("specimen", "flag"),
    ("body_part", "text"),
    ("for_processing", "flag"),
    ("burned_in", "flag"),
    ("patient_identity_removed", "flag"),
    ("paddle", "text"),
    ("magnification_factor", "number"),
    ("area_mm2", "number"),
    ("acquisition_order", "number"),
    ("warnings", "text"),
    ("not_chosen", "text"),
)
#: What a source says about a breast besides its label, under the names of the table of images.
TARGETS: tuple[tuple[str, Kind], ...] = (
    ("birads", "number"),
    ("invasive", "flag"),
    ("subtype", "text"),
    ("years_to_cancer", "number"),
    ("years_to_last_negative_exam", "number"),
    ("site", "text"),
    ("machine", "text"),
    ("race", "text"),
    ("ethnicity", "text"),
    ("age_band", "text"),
)
IMAGE_METADATA = ViewDefinition(
    "image_metadata",
    ("image_id",),
    (
        ("view_id", "text"),
        ("patient_key", "text"),
        ("laterality", "text"),
        ("view", "text"),
        *MEANING,
        ("source", "text"),
        ("official_splits", "text"),
        ("breast_density", "integer"),
        ("manufacturer", "text"),
        ("bits_stored", "integer"),
        ("rows", "integer"),
        ("columns", "integer"),
        *TARGETS,
    ),
    frozenset({"manufacturer", "view", *(name for name, _ in (*MEANING, *TARGETS))}),
)
# label_origin: `biopsy`, `birads` or `follow-up`, where the source says so, else `source` (the case
# tables), `correction` (published by `mammo features labels`;
# valid until the next correction, whatever the tables contain), `lesions` (derived from
# corrected lesions).
IMAGE_LABEL = ViewDefinition(
    "image_label",
    ("image_id",),
    (("malignant", "integer"), ("lesion_types", "text"), ("label_origin", "text")),
    frozenset({"label_origin"}),
)
LESION_LABEL = ViewDefinition(
    "lesion_label",
    ("lesion_id",),
    (("pathology", "text"), ("lesion_malignant", "integer"), ("label_origin", "text")),
    frozenset({"label_origin"}),
)
LESION_ANNOTATION = ViewDefinition(
    "lesion_annotation",
    ("lesion_id",),
    (
        ("lesion_image_id", "text"),
        ("lesion_type", "text"),
        ("assessment", "integer"),
        ("subtlety", "integer"),
        ("mass_shape", "text"),
        ("mass_margins", "text"),
        ("calc_type", "text"),
        ("calc_distribution", "text"),
    ),
)
# An image has one split per assignment, statistics and a record location per dataset, and one
# score per model.
SPLIT_ASSIGNMENT = ViewDefinition(
    "split_assignment", ("image_id", "assignment_id"), (("split", "text"),)
)
INTENSITY_STATISTICS = ViewDefinition(
    "intensity_statistics",
    ("image_id", "dataset_id"),
    (
        ("mean", "number"),
        ("standard_deviation", "number"),
        ("minimum", "number"),
        ("maximum", "number"),
        ("equalized_mean", "number"),
        ("equalized_image_max_mean", "number"),
    ),
    frozenset({"minimum", "equalized_mean", "equalized_image_max_mean"}),
)
RECORD_LOCATION = ViewDefinition(
    "record_location", ("image_id", "dataset_id"), (("shard", "text"), ("position", "integer"))
)
MODEL_SCORES = ViewDefinition(
    "model_scores",
    ("image_id", "model_id"),
    (("malignant_probability", "number"), ("evaluation_id", "text")),
)

VIEWS = (
    IMAGE_METADATA,
    INTENSITY_STATISTICS,
    LESION_ANNOTATION,
    IMAGE_LABEL,
    LESION_LABEL,
    SPLIT_ASSIGNMENT,
    RECORD_LOCATION,
    MODEL_SCORES,
)
#: The views that frames are made of: no record locations, and nothing that comes after training.
FRAME_VIEWS = tuple(view for view in VIEWS if view not in (RECORD_LOCATION, MODEL_SCORES))
ENTITIES: Mapping[str, str] = {
    "image": "image_id",
    "lesion": "lesion_id",
    "assignment": "assignment_id",
    "dataset": "dataset_id",
    "model": "model_id",
}


def _feast() -> Any:
    """Import Feast without its change of the warning filters.

    Feast enables every DeprecationWarning of every library: a process that trains would show
    those of Keras after each epoch.
    """
    with warnings.catch_warnings():
        import feast
        import feast.types
    return feast


def feast_objects() -> list[Any]:
    """Return the Feast entities and feature views.

    No view has a time to live: Feast would drop older rows silently.
    """
    feast = _feast()
    types = {
        "text": feast.types.String,
        "integer": feast.types.Int64,
        "number": feast.types.Float64,
        "flag": feast.types.Float64,
    }
    entities = {
        key: feast.Entity(name=name, join_keys=[key], value_type=feast.ValueType.STRING)
        for name, key in ENTITIES.items()
    }
    views = [
        feast.FeatureView(
            name=view.name,
            entities=[entities[key] for key in view.keys],
            schema=[feast.Field(name=key, dtype=types["text"]) for key in view.keys]
            + [feast.Field(name=name, dtype=types[kind]) for name, kind in view.fields],
            source=feast.FileSource(
                name=f"{view.name}_files",
                path=view.name,
                timestamp_field="event_timestamp",
                created_timestamp_column="created",
            ),
            online=True,
        )
        for view in VIEWS
    ]
    return [*entities.values(), *views]


def open_feast(workspace: Path, project: str, online: Mapping[str, Any] | None = None) -> Any:
    """Open the Feast store in a local folder.

    Feast executes code in a registry, so the folder may only have one that was made here.

    Args:
        workspace: Has a folder of Parquet files for each view, and registry.db after `apply`.
        project: Name of the Feast project.
        online: Feast's configuration of the online store; None for no online store.
    """
    feast = _feast()
    return feast.FeatureStore(
        config=feast.RepoConfig(
            project=project,
            provider="local",
            registry=str(workspace / "registry.db"),
            online_store=dict(online) if online is not None else None,
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
            repo_path=workspace,
        )
    )


def apply(feast: Any) -> None:
    """Write these definitions into the new registry of an opened store."""
    feast.apply(feast_objects(), partial=False)
