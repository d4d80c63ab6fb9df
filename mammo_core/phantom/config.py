"""The parameters of a phantom, and the summary of a created one."""

from pathlib import Path
from typing import Literal, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from mammo_core.errors import RecipeError

NOTICE = "SYNTHETIC PHANTOM - NOT A PATIENT"
MINIMUM_HEIGHT = 96
MINIMUM_WIDTH = 72
MAXIMUM_SIDE = 8192
MAXIMUM_PATIENTS = 20_000  # the pseudonyms have five digits and leave gaps, as CBIS-DDSM does

Layout = Literal["original", "nbia"]


class PhantomConfig(BaseModel):
    """The parameters of a synthetic CBIS-DDSM tree; the same parameters give the same bytes.

    Args:
        patients: Number of patients.
        seed: Seed of every draw.
        layout: `original` (the paths of the case tables) or `nbia` (the renamed folders of the
            NBIA Data Retriever).
        height: Rows of every mammogram.
        width: Columns of every mammogram.
        difficulty: 0 (benign and malignant differ clearly) to 1 (nearly the same); see
            `mammo_core.phantom.latent`.
        likeness: How strongly all images of a patient share a texture of her own, 0 (not at all)
            to 1; see `mammo_core.phantom.likeness`.

    Raises:
        RecipeError: A parameter is out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: int = 60
    seed: int = 0
    layout: Layout = "original"
    height: int = 576
    width: int = 448
    difficulty: float = 0.62
    likeness: float = 0.0

    @model_validator(mode="after")
    def _require_ranges(self) -> Self:
        _require_between("patients", self.patients, 1, MAXIMUM_PATIENTS)
        _require_between("height", self.height, MINIMUM_HEIGHT, MAXIMUM_SIDE)
        _require_between("width", self.width, MINIMUM_WIDTH, MAXIMUM_SIDE)
        _require_between("difficulty", self.difficulty, 0, 1)
        _require_between("likeness", self.likeness, 0, 1)
        if not 0.4 <= self.width / self.height <= 1.25:
            raise RecipeError(
                "A phantom of this size would not look like a mammogram",
                expected="a width between 0.4 and 1.25 times the height",
                received=f"height {self.height}, width {self.width}",
                hint="CBIS-DDSM images are 0.5 to 0.8 times as wide as they are high: try 576x448.",
            )
        return self

    def to_json(self) -> dict[str, str | int | float]:
        """Return the parameters for the marker of a tree.

        A likeness of 0 is left out, so that trees made before there was one stay complete.
        """
        return self.model_dump(exclude=set() if self.likeness else {"likeness"})


class PhantomSummary(BaseModel):
    """The content of a phantom tree, and the work of this run.

    Args:
        root: The folder.
        complete_before: Whether the tree was already complete, so that nothing was drawn.
        drawn: Views drawn by this run (a resumed run draws the missing ones only).
        seconds: Wall time of this run.
        counts: patients, views, mammograms (files), lesions (rows of the tables), files, bytes,
            views and patients per official split and class.
        digest: sha256 over the sorted (path, size, sha256) of every file, hexadecimal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    complete_before: bool
    drawn: int
    seconds: float
    counts: dict[str, int]
    digest: str


def parse_size(text: str) -> tuple[int, int]:
    """Parse a size from the command line.

    Args:
        text: HxW, as in 576x448.

    Returns:
        (height, width).

    Raises:
        RecipeError: The text is not a size.
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise RecipeError(
            "--size cannot be used", expected="HxW, such as 576x448", received=repr(text)
        )
    return int(height), int(width)


def parse_layout(text: str) -> Layout:
    """Parse a layout from the command line.

    Args:
        text: original or nbia.

    Raises:
        RecipeError: The text is neither.
    """
    for layout in get_args(Layout):
        if text == layout:
            return cast(Layout, layout)
    raise RecipeError("--layout cannot be used", expected="original or nbia", received=repr(text))


def _require_between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also false for nan
        raise RecipeError(
            f"The phantom's {name} cannot be used",
            expected=f"{name} from {low} to {high}",
            received=f"{value}",
        )
