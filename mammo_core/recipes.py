"""The schema of a recipe: the configurations of all steps of a run."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import AwareDatetime, ConfigDict, Field, ValidationError, model_validator

from mammo_core.documents import MAXIMUM_YAML_BYTES, DocumentError, parse_yaml, read_bounded
from mammo_core.errors import RecipeError
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.second_stage.config import SecondStageConfig
from mammo_core.features.config import RetrainConfig, ValidationConfig
from mammo_core.ingest.config import (
    ConvertConfig,
    require_stated_conversion,
    stated_conversion,
)
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.preprocessing import IntensityConfig
from mammo_core.registry.config import GateConfig
from mammo_core.sampling import FIVE_CLASSES, GEOMETRIES, LabelMap, SamplingConfig
from mammo_core.sources import SourceConfig, SplitConfig
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.identity.label_windows import LabelsConfig
from mammo_core.sources.several.entry import Mixing, SourceEntry, require_valid_sources
from mammo_core.sources.several.recipe_keys import HasSources
from mammo_core.store import open_store
from mammo_core.tracking.config import TrackingConfig
from mammo_core.training.config import HardwareConfig, ImageTrainingConfig, PatchTrainingConfig
from mammo_core.training.member import MemberConfig

#: Folder of the named recipes; MAMMO_RECIPES overrides it (container images set it).
_FOLDER = Path(__file__).parent.parent / "recipes"


class Recipe(HasSources):
    """The configuration of a run, from the source to the pushed model.

    Attributes:
        name: Name of the recipe.
        command: The command that runs it.
        expected_time: How long it takes, and on which machine.
        expected_result: The result to expect, and the origin of that number.
        model_name: Name under which the model is pushed.
        seed: Seed of everything random; the draws of a record depend on it and the record's id.
        max_reject_share: A step fails if more than this fraction of its inputs is rejected.
        shuffle_labels: Permute the labels over patients: a check whose AUC must be near 0.5.
        source: The mammograms and their tables, where they are of one source.
        sources: Several sources instead, of which some can be held out as external tests.
        mixing: How trainings draw from several sources: `classes` (each source as often as its
            weight says, and in it every class equally often), `sources` (the classes of a source
            as often as they are), or `none` (every record once).
        images: What is done with images that are not plain CC and MLO mammograms.
        labels: How images get their labels.
        convert: The image records: their size, and how images are processed before.
        intensity: How gray levels become the numbers that a network receives.
        split: How patients are divided into training, validation and test.
        as_of: Train on the labels known at this time; null: now.
        sampling: The patches that are cut.
        label_map: The classes of patches: `five-classes`, `malignancy`, `masses`, or keys below.
        patch_training: Network and stages of the patch classifier.
        image_training: Head and stages of the whole-image classifier.
        members: The networks of an ensemble, which can be trained in parallel; empty: one network.
        evaluation: What is measured.
        regions: The second stage, a random forest on regions of the heatmaps.
        gate: The conditions for a push.
        validation: How much new data may differ from the champion's.
        retrain: When to train again.
        runner: Where Beam pipelines run; not part of any id.
        reader: How training reads records: `local`, or `tfio`, which streams them from S3 in the
            environment of tensorflow-io.
        hardware: The hardware that trainings use; not part of any id.
        tracking: Whom a run reports to; not part of any id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    command: str
    expected_time: str
    expected_result: str
    model_name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    seed: int = Field(ge=0)
    max_reject_share: float = Field(default=0.05, ge=0, le=1)
    shuffle_labels: bool = False
    # Recipes with one source are written without the keys of several: their bytes stay the same.
    source: SourceConfig | None = Field(default=None, exclude_if=lambda source: source is None)
    sources: tuple[SourceEntry, ...] = Field(default=(), exclude_if=lambda sources: not sources)
    mixing: Mixing = Field(default="classes", exclude_if=lambda mixing: mixing == "classes")
    images: ImagePolicy = ImagePolicy()
    labels: LabelsConfig = LabelsConfig()
    convert: ConvertConfig
    intensity: IntensityConfig = IntensityConfig()
    split: SplitConfig
    as_of: AwareDatetime | None = None
    sampling: SamplingConfig
    label_map: LabelMap = FIVE_CLASSES
    patch_training: PatchTrainingConfig
    image_training: ImageTrainingConfig
    members: tuple[MemberConfig, ...] = ()
    evaluation: EvaluationConfig = EvaluationConfig()
    regions: SecondStageConfig = SecondStageConfig()
    gate: GateConfig
    validation: ValidationConfig = ValidationConfig()
    retrain: RetrainConfig = RetrainConfig()
    runner: RunnerConfig = RunnerConfig()
    reader: Literal["local", "tfio"] = "local"
    hardware: HardwareConfig = HardwareConfig()
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="before")
    @classmethod
    def _geometry_from_sampling(cls, values: Any) -> Any:
        """Fill in size and mask interpolation of the conversion from the sampling preset."""
        if not isinstance(values, dict):
            return values
        sampling, convert = values.get("sampling"), values.get("convert", {})
        if not isinstance(sampling, dict) or not isinstance(convert, dict):
            return values
        geometry = convert.get("geometry", GEOMETRIES.get(str(sampling.get("preset", "S10"))))
        if sampling.get("compatible") is True and isinstance(geometry, Mapping):
            geometry = {"masks": "cubic", **geometry}
        if geometry is None:
            return values
        return {**values, "convert": {**convert, "geometry": geometry}}

    @model_validator(mode="before")
    @classmethod
    def _conversion_from_policy(cls, values: Any) -> Any:
        """Give the conversion what the policy of images and the source say about pixels."""
        if not isinstance(values, dict):
            return values
        images, convert = values.get("images", {}), values.get("convert", {})
        if not isinstance(images, dict) or not isinstance(convert, dict):
            return values
        stated = stated_conversion(images, [values.get("source"), *_listed(values.get("sources"))])
        return {**values, "convert": {**stated, **convert}}

    @model_validator(mode="after")
    def _require_one_policy(self) -> "Recipe":
        require_valid_sources(self.source, self.sources, self.mixing, self.images)
        require_stated_conversion(self.convert, self.images, self.all_sources)
        balances = (self.patch_training.balance, self.image_training.balance)
        if self.sources and self.mixing != "none" and "balanced_sampling" in balances:
            raise ValueError(
                "balance balanced_sampling contradicts mixing, which draws records of several "
                "sources; choose mixing none, or balance batch_weights"
            )
        return self

    @model_validator(mode="after")
    def _require_patches_that_fit(self) -> "Recipe":
        geometry, side = self.convert.geometry, self.sampling.patch_size
        smallest = geometry.height
        if geometry.resize != "height":  # otherwise the width follows the image
            smallest = min(smallest, geometry.width)
        if side > smallest:
            raise ValueError(
                f"sampling.patch_size {side} is larger than the images of convert.geometry, "
                f"{geometry.height}x{geometry.width}"
            )
        return self

    @model_validator(mode="after")
    def _require_reader_for_views(self) -> "Recipe":
        if self.reader == "tfio" and self.image_training.two_view is not None:
            raise ValueError("reader tfio reads single images; two views need reader local")
        return self

    @model_validator(mode="after")
    def _require_valid_members(self) -> "Recipe":
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"members need distinct names; received {', '.join(names)}")
        for member in self.members:
            self.of_member(member.name)
        return self

    def of_member(self, name: str) -> "Recipe":
        """Return the recipe of one network of the ensemble.

        Args:
            name: Name of a member; empty: this recipe, unchanged.

        Raises:
            RecipeError: There is no such member.
        """
        if not name:
            return self
        member = next((member for member in self.members if member.name == name), None)
        if member is None:
            names = ", ".join(member.name for member in self.members)
            raise RecipeError(
                f"The recipe {self.name} has no such member",
                expected=names or "no member: the recipe has one network",
                received=name,
            )
        values = self.model_dump(mode="json", exclude={"members"})
        return Recipe.model_validate(member.changed(values))

    def to_json(self) -> str:
        """Return the resolved recipe as it is written into the record of a run."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1) + "\n"


def load_recipe(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Args:
        reference: A file, the name of a recipe of the project (`phantom`), the URI of a
            stored one (`s3://bucket/prefix/runs/<id>/recipe.json`), or the recipe itself as a
            JSON object.
        overrides: `key.key=value`, with the value as YAML, applied in order; each key once.

    Raises:
        RecipeError: It is missing, cannot be parsed, or a key or value is not valid.
    """
    text, origin = _read(reference)
    try:
        values = parse_yaml(text, _UniqueKeyLoader)
    except DocumentError as error:
        raise RecipeError(
            f"The recipe {origin} cannot be parsed", expected="YAML", received=error.received
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(
            f"The recipe {origin} is not valid",
            expected="a mapping of keys",
            received=f"{type(values).__name__}",
        )
    _require_distinct_keys(overrides)
    for override in overrides:
        _apply(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _invalid_recipe_error(origin, error) from error


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses repeated keys of a mapping, of which YAML would silently use the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            name = str(self.construct_object(key, deep=True))
            if name in names:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} is repeated in one mapping", key.start_mark
                )
            names.add(name)
        return super().construct_mapping(node, deep)


def _require_distinct_keys(overrides: Sequence[str]) -> None:
    values: dict[str, str] = {}
    for override in overrides:
        path, _, text = override.partition("=")
        if path in values:
            raise RecipeError(
                f"The override {path} is repeated",
                expected="each key once",
                received=f"{values[path]} and {text}",
                hint="--source sets source.root, --shuffle-labels sets shuffle_labels",
            )
        values[path] = text


def _read(reference: str) -> tuple[str, str]:
    if reference.lstrip().startswith("{"):
        return reference, "in JSON"
    if "://" in reference:
        root, _, name = reference.rpartition("/")
        return open_store(root).read(name, MAXIMUM_YAML_BYTES).decode(), reference
    folder = Path(os.environ.get("MAMMO_RECIPES", _FOLDER))
    for path in (Path(reference), folder / f"{reference}.yaml"):
        if path.is_file():
            try:
                return read_bounded(path, MAXIMUM_YAML_BYTES).decode(), str(path)
            except ValueError as error:
                raise RecipeError(
                    f"The recipe {path} cannot be read",
                    expected="text in UTF-8",
                    received=str(error),
                ) from error
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    raise RecipeError(
        "The recipe cannot be found",
        expected=f"a file, or one of the project's recipes: {', '.join(names) or 'none'}",
        received=reference,
    )


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not all(path.split(".")):
        raise RecipeError(
            "An override is not valid",
            expected="key=value or key.key=value, for instance gate.min_auc=0.7",
            received=override,
        )
    *parents, last = path.split(".")
    section = values
    for name in parents:
        nested = section.setdefault(name, {})
        if not isinstance(nested, dict):
            raise RecipeError(
                f"The override {override} cannot be applied",
                expected=f"a section of keys at {name}",
                received=f"{type(nested).__name__}",
            )
        section = nested
    try:
        section[last] = parse_yaml(text)
    except DocumentError as error:
        raise RecipeError(
            f"The override {override[:200]} cannot be read",
            expected="a value in YAML",
            received=error.received,
        ) from error


def _invalid_recipe_error(origin: str, error: ValidationError) -> RecipeError:
    errors = error.errors()
    first = errors[0]
    key = ".".join(map(str, first["loc"]))
    more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
    is_unknown = first["type"] == "extra_forbidden"
    received = "an unknown key" if is_unknown else repr(first["input"])[:200]
    return RecipeError(
        f"The recipe {origin} is not valid at {key or 'the top level'}{more}",
        expected="a key of the schema" if is_unknown else first["msg"],
        received=received if key else "values that do not fit together",
        hint="docs/recipes.md lists the keys",
    )
