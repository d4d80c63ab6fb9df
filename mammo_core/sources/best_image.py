"""The best of several images of one view in an exam: one choice for training and scoring alike."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Modifier of CID 4015: the implant is pushed back, so that the image shows the tissue.
IMPLANT_DISPLACED: Final = "implant displaced"
_TYPES: Final = {"": 0, "ffdm": 0, "film": 0, "contrast low-energy": 1}
_OTHER_TYPE: Final = 2
#: Columns of the table of images that the choice depends on.
CANDIDATE_COLUMNS: Final = (
    "image_id", "view", "view_class", "view_modifiers", "image_type", "partial_view", "area_mm2",
    "acquisition_order",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """An image that could stand for a view.

    Attributes:
        id: SHA-256 of the file.
        view: Short name of its view (CID 4014).
        view_class: CC or MLO: what the view stands for.
        view_modifiers: Modifiers (CID 4015).
        image_type: As in `dicom.ImageMeaning`; empty if unknown.
        partial_view: Whether it shows a part of a large breast.
        area_mm2: Area at the detector; 0 if unknown.
        acquisition_order: Position among the images of the exam by acquisition; 0 if unknown.
    """

    id: str
    view: str
    view_class: str
    view_modifiers: tuple[str, ...] = ()
    image_type: str = ""
    partial_view: bool = False
    area_mm2: float = 0.0
    acquisition_order: int = 0


@dataclass(frozen=True)
class Choice:
    """The choice among the images of one view.

    Attributes:
        chosen: The best image; several if all of them are partial views, which are a group.
        reasons: Id → why the image was not chosen, for every other one.
    """

    chosen: tuple[str, ...]
    reasons: dict[str, str]


def choose_best(candidates: Sequence[Candidate]) -> Choice:
    """Choose the image that stands for a view of an exam.

    In this order: the standard view, no modifier, full-field before synthetic, whole before
    partial, the larger area, the later acquisition, the id. Where an implant was displaced, that
    image comes before one without it, because it shows the tissue.

    Args:
        candidates: At least one image, all of one breast and one view class.
    """
    ordered = sorted(candidates, key=_rank)
    best = ordered[0]
    # Of a large breast, the parts together are the view.
    group = [
        image
        for image in ordered
        if best.partial_view and _rank(image)[:_PARTIAL] == _rank(best)[:_PARTIAL]
    ] or [best]
    chosen = {image.id for image in group}
    reasons = {image.id: _reason(image, best) for image in ordered if image.id not in chosen}
    return Choice(tuple(image.id for image in group), reasons)


#: Number of criteria up to `partial_view`.
_PARTIAL: Final = 5


def _rank(image: Candidate) -> tuple[Any, ...]:
    return (
        image.view != image.view_class,
        bool(set(image.view_modifiers) - {IMPLANT_DISPLACED}),
        IMPLANT_DISPLACED not in image.view_modifiers,
        _TYPES.get(image.image_type, _OTHER_TYPE),
        image.partial_view,
        -round(image.area_mm2),
        -image.acquisition_order,
        image.id,
    )


def _reason(image: Candidate, best: Candidate) -> str:
    pairs = zip(_rank(image), _rank(best), strict=True)
    at = next(at for at, (value, other) in enumerate(pairs) if value != other)
    return (
        f"view {image.view}: there is a {best.view}",
        f"modifier {' and '.join(sorted(image.view_modifiers))}: there is an image without",
        "the implant is not displaced: there is an image with it displaced",
        f"image type {image.image_type}: there is one of type {best.image_type or 'unknown'}",
        "partial view: there is a whole one",
        f"area {_area(image)}: there is one of {_area(best)}",
        "acquired earlier than another one",
        "equal to another one, whose id comes first",
    )[at]


def _area(image: Candidate) -> str:
    return f"{image.area_mm2:.0f} mm²" if image.area_mm2 else "unknown"


def candidate_of(row: Any) -> Candidate:
    """Return the candidate of a row of the table of images, or of a frame.

    Args:
        row: A named tuple with CANDIDATE_COLUMNS.
    """
    modifiers = tuple(name for name in str(row.view_modifiers).split("+") if name)
    return Candidate(
        id=str(row.image_id),
        view=str(row.view),
        view_class=str(row.view_class),
        view_modifiers=modifiers,
        image_type=str(row.image_type),
        partial_view=bool(row.partial_view),
        area_mm2=_number(row.area_mm2),
        acquisition_order=int(_number(row.acquisition_order)),
    )


def _number(value: Any) -> float:
    """Return a number; 0 for an unknown one (None or NaN)."""
    return 0.0 if value is None or value != value else float(value)


def choose_views(rows: Iterable[tuple[str, Candidate]]) -> dict[tuple[str, str], Choice]:
    """Choose the image of each view of each breast.

    Args:
        rows: Breast and candidate, one for each image; those without a view class are left out.

    Returns:
        (breast, CC or MLO) → the choice.
    """
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for breast, candidate in rows:
        if candidate.view_class:
            groups[breast, candidate.view_class].append(candidate)
    return {key: choose_best(group) for key, group in groups.items()}
