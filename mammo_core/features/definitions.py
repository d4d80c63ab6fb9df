"""The Feast definitions: two entities, what is known of each, and under which names.

Feast is imported inside the functions: only `features` ever needs it, and it takes seconds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["text", "integer", "number"]


@dataclass(frozen=True)
class View:
    """A feature view.

    Attributes:
        name: Its name in Feast and its folder in the store.
        keys: Join keys of its entities.
        fields: Feature → kind.
    """

    name: str
    keys: tuple[str, ...]
    fields: tuple[tuple[str, Kind], ...]

    @property
    def columns(self) -> list[str]:
        """Keys and features, in order."""
        return [*self.keys, *(name for name, _ in self.fields)]


IMAGE_METADATA = View(
    "image_metadata",
    ("image_id",),
    (
        ("view_id", "text"),
        ("patient_key", "text"),
        ("laterality", "text"),
        ("view", "text"),
        ("source", "text"),
        ("official_splits", "text"),
        ("breast_density", "integer"),
        ("bits_stored", "integer"),
        ("rows", "integer"),
        ("columns", "integer"),
    ),
)
IMAGE_LABEL = View(
    "image_label", ("image_id",), (("malignant", "integer"), ("lesion_types", "text"))
)
# One image has a split for each way of splitting, and statistics for each dataset it is in.
IMAGE_SPLIT = View("image_split", ("image_id", "assignment_id"), (("split", "text"),))
IMAGE_STATISTICS = View(
    "image_statistics",
    ("image_id", "dataset_id"),
    (("mean", "number"), ("standard_deviation", "number"), ("maximum", "integer")),
)
LESION_ANNOTATION = View(
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
LESION_LABEL = View(
    "lesion_label", ("lesion_id",), (("pathology", "text"), ("lesion_malignant", "integer"))
)

VIEWS = (
    IMAGE_METADATA,
    IMAGE_LABEL,
    IMAGE_SPLIT,
    IMAGE_STATISTICS,
    LESION_ANNOTATION,
    LESION_LABEL,
)
_ENTITIES = {
    "image": "image_id",
    "lesion": "lesion_id",
    "split_assignment": "assignment_id",
    "image_dataset": "dataset_id",
}


def feast_objects() -> list[Any]:
    """Return the Feast entities and feature views.

    No view has a time to live: Feast drops older rows of such a view silently.
    """
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, Int64, String

    types = {"text": String, "integer": Int64, "number": Float64}
    entities = {
        key: Entity(name=name, join_keys=[key], value_type=ValueType.STRING)
        for name, key in _ENTITIES.items()
    }
    views = [
        FeatureView(
            name=view.name,
            entities=[entities[key] for key in view.keys],
            schema=[Field(name=key, dtype=String) for key in view.keys]
            + [Field(name=name, dtype=types[kind]) for name, kind in view.fields],
            source=FileSource(
                name=f"{view.name}_parts",
                path=view.name,
                timestamp_field="event_timestamp",
                created_timestamp_column="created",
            ),
            online=True,
        )
        for view in VIEWS
    ]
    return [*entities.values(), *views]


def open_feast(workspace: Path) -> Any:
    """Open the Feast store whose registry and parts lie in a local folder."""
    from feast import FeatureStore, RepoConfig

    return FeatureStore(
        config=RepoConfig(
            project="mammo",
            provider="local",
            registry=str(workspace / "registry.db"),
            online_store={"type": "sqlite", "path": str(workspace / "online.db")},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
            repo_path=workspace,
        )
    )
