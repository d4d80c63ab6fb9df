"""The schema of a run: each room's own configuration, put together."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mammo_core.errors import RecipeError
from mammo_core.evaluation import EvaluationConfig, SecondStageConfig
from mammo_core.features.config import RetrainConfig, ValidationConfig
from mammo_core.ingest.convert import ConvertConfig
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.preprocessing import IntensityConfig
from mammo_core.registry import GateConfig
from mammo_core.sampling import FIVE_CLASSES, GEOMETRIES, LabelMap, SamplingConfig
from mammo_core.sources import SourceConfig, SplitConfig
from mammo_core.store import open_store
from mammo_core.training.config import HardwareConfig, ImageTrainingConfig, PatchTrainingConfig

#: Named recipes lie here; MAMMO_RECIPES names another folder (the images set it).
_FOLDER = Path(__file__).parent.parent / "recipes"


class MemberConfig(BaseModel):
    """One network of an ensemble: what it has otherwise than the recipe.

    Attributes:
        name: Of the member.
        weight: Of its probabilities in the mean.
        patch_training: Keys of `patch_training` that differ.
        image_training: Keys of `image_training` that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    weight: float = Field(default=1.0, gt=0)
    patch_training: dict[str, Any] = {}
    image_training: dict[str, Any] = {}


class Recipe(BaseModel):
    """A whole run, from the source to the pushed model.

    Attributes:
        name: Name of the recipe.
        command: The command that runs it.
        expected_time: What it takes, and on what machine.
        expected_result: The result to expect, and where that number comes from.
        model_name: Name under which the model is pushed.
        seed: Seed of everything random.
        max_reject_share: A step fails when more than this share of its inputs is rejected.
        shuffle_labels: Permute the labels over patients: a check that must give AUC 0.5.
        source: Where the mammograms and their tables are.
        convert: Geometry of the image records, and what is done to images before.
        intensity: How gray levels become a network's numbers.
        split: How patients are divided.
        as_of: Train on labels as they were known at this time; default now.
        sampling: Which patches are cut.
        label_map: The classes of patches: a name of `sampling.LABEL_MAPS`, or classes.
        patch_training: Network and stages of the patch classifier.
        image_training: Head and stages of the whole-image classifier.
        members: Networks of an ensemble, trained beside each other; none: one network.
        evaluation: What is measured.
        regions: The second stage over regions of heatmaps.
        gate: What a model must reach to be pushed.
        validation: How far new data may be from what the champion learned from.
        retrain: When it is worth training again.
        runner: Where Beam pipelines run; no part of any output's id.
        reader: How training reads records: `local`, or `tfio`, which streams them from S3 in
            the environment of tensorflow-io.
        hardware: What trainings run on; no part of any output's id.
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
    source: SourceConfig
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

    @model_validator(mode="before")
    @classmethod
    def _as_sampled(cls, values: Any) -> Any:
        """Take from the sampling what the conversion does not say: sizes, and the masks."""
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

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        geometry, side = self.convert.geometry, self.sampling.patch_size
        smallest = geometry.height
        if geometry.resize != "height":  # else the width follows the image
            smallest = min(smallest, geometry.width)
        if side > smallest:
            raise ValueError(
                f"sampling.patch_size {side} is larger than the images of convert.geometry, "
                f"{geometry.height}x{geometry.width}"
            )
        return self

    @model_validator(mode="after")
    def _reader_fits(self) -> "Recipe":
        if self.reader == "tfio" and self.image_training.two_view is not None:
            raise ValueError("reader tfio streams single images; two views need reader local")
        return self

    @model_validator(mode="after")
    def _members_fit(self) -> "Recipe":
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"members have one name each; received {', '.join(names)}")
        for member in self.members:
            self.of_member(member.name)
        return self

    def of_member(self, name: str) -> "Recipe":
        """Return the recipe of one network of the ensemble; this one where the name is empty.

        Raises:
            RecipeError: There is no such member.
        """
        if not name:
            return self
        found = [member for member in self.members if member.name == name]
        if not found:
            known = ", ".join(member.name for member in self.members)
            raise RecipeError(
                f"The recipe {self.name} has no such member",
                expected=known or "no member's name: the recipe is of one network",
                received=name,
            )
        values = self.model_dump(mode="json", exclude={"members"})
        for key in ("patch_training", "image_training"):
            values[key] = _merged(values[key], getattr(found[0], key))
        return Recipe.model_validate(values)

    def to_json(self) -> str:
        """The resolved recipe as it stands in a run's record."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1) + "\n"


def load_recipe(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Args:
        reference: A file, the name of a recipe of the project (`phantom`), the URI of a
            stored one (`s3://bucket/prefix/runs/<id>/recipe.json`), or the recipe itself as a
            JSON object.
        overrides: `key.key=value`, the value as YAML, applied in order; each key once.

    Raises:
        RecipeError: When it is absent, cannot be parsed, or a key or value is wrong.
    """
    text, origin = _read(reference)
    try:
        values = yaml.load(text, _OnceEach)
    except yaml.YAMLError as error:
        raise RecipeError(
            f"The recipe {origin} cannot be parsed",
            expected="YAML",
            received=" ".join(str(error).split()),
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(
            f"The recipe {origin} cannot be used",
            expected="keys and values",
            received=f"{type(values).__name__}",
        )
    _once_each(overrides)
    for override in overrides:
        _apply(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _invalid(origin, error) from error


class _OnceEach(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping; YAML would take the last silently."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(self.construct_object(key, deep=True))
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands twice in one mapping", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _once_each(overrides: Sequence[str]) -> None:
    given: dict[str, str] = {}
    for override in overrides:
        path, _, text = override.partition("=")
        if path in given:
            raise RecipeError(
                f"The override {path} is given twice",
                expected="each key once",
                received=f"{given[path]} and {text}",
                hint="--source sets source.root, --shuffle-labels sets shuffle_labels",
            )
        given[path] = text


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _read(reference: str) -> tuple[str, str]:
    if reference.lstrip().startswith("{"):
        return reference, "given as JSON"
    if "://" in reference:
        head, _, tail = reference.rpartition("/runs/")
        store = open_store(head or reference)
        return store.read(f"runs/{tail}").decode(), reference
    folder = Path(os.environ.get("MAMMO_RECIPES", _FOLDER))
    for path in (Path(reference), folder / f"{reference}.yaml"):
        if path.is_file():
            try:
                return path.read_text(), str(path)
            except UnicodeDecodeError as error:
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
            "An override cannot be used",
            expected="key=value or key.key=value, for instance gate.min_auc=0.7",
            received=override,
        )
    *parents, last = path.split(".")
    place = values
    for name in parents:
        found = place.setdefault(name, {})
        if not isinstance(found, dict):
            raise RecipeError(
                f"The override {override} cannot be applied",
                expected=f"{name} to hold further keys",
                received=f"{type(found).__name__}",
            )
        place = found
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(
            f"The override {override} cannot be read",
            expected="a value in YAML",
            received=" ".join(str(error).split()),
        ) from error


def _invalid(origin: str, error: ValidationError) -> RecipeError:
    faults = error.errors()
    where = ".".join(map(str, faults[0]["loc"])) or "the whole recipe"
    more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    unknown = faults[0]["type"] == "extra_forbidden"
    return RecipeError(
        f"The recipe {origin} is wrong at {where}{more}",
        expected="a key of the schema" if unknown else faults[0]["msg"],
        received="an unknown key"
        if unknown
        else "the values above"
        if where == "the whole recipe"
        else repr(faults[0]["input"])[:200],
        hint="docs/recipes.md lists the keys",
    )
