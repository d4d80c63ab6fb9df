"""Whether a network can be trained on a source, and on a split of it: said before any training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mammo_core.errors import SourceError

if TYPE_CHECKING:  # a recipe is read without pandas
    import pandas as pd

#: A breast of 18 cm has pixels of 2.5 mm in a picture of this width: it shows no lesion.
_LEAST_PIXELS: Final = 72
#: Pictures that are enlarged more than this in both directions are worth a warning.
_ENLARGED: Final = 2
_NAMES: Final = {0: "negative", 1: "malignant"}
_FITTED: Final = ("train", "validation", "test")
_START: Final = (
    "start from a model package: set image_training.start, or run the pipeline `transfer`. It "
    "trains on whole images and needs their labels only"
)


@dataclass(frozen=True)
class Obstacle:
    """Why a network cannot be trained, or should not.

    Args:
        problem: What is wrong, in a clause.
        expected: What a training needs.
        received: What there is.
        hint: What can be done.
        stops: Whether no training is possible; else it is a warning.
    """

    problem: str
    expected: str
    received: str
    hint: str
    stops: bool = True

    @property
    def message(self) -> str:
        """The obstacle as one line."""
        return (
            f"{self.problem}. Expected {self.expected}. Received {self.received}. "
            f"Hint: {self.hint}."
        )


def source_obstacles(
    images: "pd.DataFrame",
    lesions: "pd.DataFrame",
    *,
    has_start: bool,
    size: tuple[int, int],
) -> list[Obstacle]:
    """Return what stands against a training on a source, whatever its split.

    Args:
        images: patient_key, malignant, rows, columns.
        lesions: Its lesions.
        has_start: Whether training starts from a model package, which needs no lesion.
        size: Rows and columns of the records.
    """
    obstacles = _one_class(images) + _small_pictures(images, size)
    if lesions.empty and not has_start:
        obstacles.append(
            Obstacle(
                "The source has no lesions, and the patch classifier is trained on them",
                "lesions with masks, boxes or outlines",
                f"{len(images)} images without any",
                f"{_START}; or describe lesions in the tables",
            )
        )
    return obstacles


def _one_class(images: "pd.DataFrame") -> list[Obstacle]:
    labels = set(images["malignant"].astype(int))
    if len(labels) > 1 or images.empty:
        return []
    present = _NAMES[labels.pop()]
    absent = next(name for name in _NAMES.values() if name != present)
    patients = images["patient_key"].nunique()
    return [
        Obstacle(
            f"All images of the source are {present}: no classifier can be trained or tested",
            f"patients of both classes, at least 3 {absent} ones (training, validation and test)",
            f"{len(images)} {present} images of {patients} patients",
            f"add {absent} patients, for instance of a second source; without them, a published "
            "model can be applied with `mammo score`",
        )
    ]


def _small_pictures(images: "pd.DataFrame", size: tuple[int, int]) -> list[Obstacle]:
    height, width = size
    rows, columns = images["rows"], images["columns"]
    enlarged = (rows < height) & (columns < width)
    tiny = enlarged & ((rows < _LEAST_PIXELS) | (columns < _LEAST_PIXELS))
    small = enlarged & (rows * _ENLARGED < height) & (columns * _ENLARGED < width)
    expected = f"mammograms of about {height}x{width} pixels or more (convert.geometry)"
    hint = (
        "use the files that these pictures were made from; resizing is the work of the step "
        "`convert`"
    )
    for chosen, stops in ((tiny, 2 * tiny.sum() > len(images)), (small, False)):
        if chosen.any():
            first = images[chosen].iloc[0]
            what = "thumbnails or patches" if stops else "small pictures"
            return [
                Obstacle(
                    f"{int(chosen.sum())} of {len(images)} images are {what}, not whole mammograms"
                    if stops
                    else f"{int(chosen.sum())} of {len(images)} images are much enlarged",
                    expected,
                    f"for instance {int(first['rows'])}x{int(first['columns'])} pixels",
                    hint,
                    bool(stops),
                )
            ]
    return []


def split_obstacles(
    images: "pd.DataFrame",
    lesions: "pd.DataFrame",
    *,
    has_start: bool,
    split_name: str,
    selections: Mapping[str, str],
    patch_classes: Sequence[tuple[str, frozenset[str]]],
) -> list[Obstacle]:
    """Return what stands against a training on a split.

    Args:
        images: patient_key, label (0 or 1), split.
        lesions: patch_class, split.
        has_start: Whether training starts from a model package, which needs no lesion.
        split_name: The recipe's `split.name`.
        selections: `patch` and `image` → the metric that selects the best epoch.
        patch_classes: Name → patch classes of each class of lesions.
    """
    obstacles = []
    for split in _FITTED:
        rows = images[images["split"] == split]
        patients = rows.groupby("label")["patient_key"].nunique()
        counts = {label: int(patients.get(label, 0)) for label in _NAMES}
        missing = [label for label, count in counts.items() if not count]
        optional = split == "validation" and selections["image"] != "auc" and len(missing) < 2
        if missing and not optional:
            obstacles.append(_missing_class(images, split, counts, missing, split_name))
    if has_start:
        return obstacles
    for split in ("train", "validation"):
        present = set(lesions.loc[lesions["split"] == split, "patch_class"])
        absent = [name for name, classes in patch_classes if not classes & present]
        everything = len(absent) == len(patch_classes)
        needed = split == "validation" and selections["patch"] == "auc"
        if absent and (everything if split == "train" else needed):
            obstacles.append(
                Obstacle(
                    f"The {split} split has no lesion of {', '.join(absent)}",
                    "lesions of every class, which the AUC needs (patch_training.selection)"
                    if needed and not everything
                    else "lesions with masks, boxes or outlines",
                    f"{int((lesions['split'] == split).sum())} lesions in this split",
                    f"{_change_split(split_name)}, merge classes with label_map, or {_START}"
                    if not needed
                    else f"{_change_split(split_name)}, merge classes with label_map, set "
                    f"patch_training.selection to accuracy, or {_START}",
                )
            )
    return obstacles


def _missing_class(
    images: "pd.DataFrame",
    split: str,
    counts: Mapping[int, int],
    missing: Sequence[int],
    split_name: str,
) -> Obstacle:
    known = images[images["split"] != "excluded"].groupby("label")["patient_key"].nunique()
    total = {label: int(known.get(label, 0)) for label in _NAMES}
    names = " and no ".join(_NAMES[label] for label in missing)
    rare = [label for label in missing if total[label] < len(_FITTED)]
    if rare:
        hint = "add patients: " + ", ".join(
            f"{total[label]} {_NAMES[label]} in all, and each of {', '.join(_FITTED)} needs one"
            for label in rare
        )
    elif split == "validation" and len(missing) == len(_NAMES):
        hint = f"set split.validation above 0, or {_change_split(split_name)}"
    else:
        hint = _change_split(split_name)
    return Obstacle(
        f"The {split} split has no {names} patient",
        "patients of both classes in each of " + ", ".join(_FITTED),
        ", ".join(f"{counts[label]} {name}" for label, name in _NAMES.items())
        + f" in {split}; {total[0]} and {total[1]} in all",
        hint,
    )


def _change_split(name: str) -> str:
    if name == "given":
        return "name other patients under split.patients"
    if name == "folds":
        return "choose fewer folds (split.folds)"
    if name.startswith("official"):
        return "choose split.name stratified, which puts both classes into every split"
    return "choose larger shares (split.test, split.validation) or another split.seed"


def require_trainable(obstacles: Sequence[Obstacle], details: str) -> None:
    """Raise the obstacles that stop a training, the first with its remedy.

    Args:
        obstacles: What stands against a training.
        details: Where to look.

    Raises:
        SourceError: One of them stops a training.
    """
    stopping = [each for each in obstacles if each.stops]
    if not stopping:
        return
    first, others = stopping[0], stopping[1:]
    also = "".join(f". Also: {each.problem} ({each.received})" for each in others)
    hint = first.hint
    if others:  # each has its own remedy, and all are needed
        hint = "; ".join(f"({at}) {each.hint}" for at, each in enumerate(stopping, 1))
    raise SourceError(
        first.problem,
        expected=first.expected,
        received=first.received + also,
        hint=f"{hint}. {details}" if details else hint,
    )
