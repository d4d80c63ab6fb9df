"""The parameters of a phantom, and the summary of a created one."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from mammo_core.errors import RecipeError

NOTICE = "SYNTHETIC PHANTOM - NOT A PATIENT"
MINIMUM_HEIGHT = 96
MINIMUM_WIDTH = 72
MAXIMUM_SIDE = 8192
#: Layouts of CBIS-DDSM, which the phantom is drawn in since its first version.
CBIS_LAYOUTS = ("original", "nbia")
MAXIMUM_PRIORS = 10
MAXIMUM_VENDORS = 8  # the looks of mammo_core.phantom.looks, which draws and is slow to load
#: Parameters that the first phantoms did not have.
_ADDED = ("likeness", "vendors", "first_vendor", "priors", "prevalence")
MAXIMUM_PATIENTS = 20_000  # the pseudonyms have five digits and leave gaps, as CBIS-DDSM does


class PhantomConfig(BaseModel):
    """The parameters of a synthetic data set; the same parameters give the same bytes.

    Args:
        patients: Number of patients.
        seed: Seed of every draw.
        layout: `original` (the paths of the case tables) or `nbia` (the renamed folders of the
            NBIA Data Retriever) of CBIS-DDSM, or another data set (`mammo_core.phantom.layouts`).
        height: Rows of every mammogram.
        width: Columns of every mammogram.
        difficulty: 0 (benign and malignant differ clearly) to 1 (nearly the same); see
            `mammo_core.phantom.latent`.
        likeness: How strongly all images of a patient share a texture of her own, 0 (not at all)
            to 1; see `mammo_core.phantom.likeness`.
        vendors: Number of vendors whose systems made the images, each with a look of its own; see
            `mammo_core.phantom.looks`.
        first_vendor: Position of the first of these among the vendors that there are, from 0; a
            published layout counts from its own.
        priors: Earlier exams of each patient; None: as many as the data set of the layout has.
        prevalence: Share of patients with a cancer; None: the one of the layout.

    Raises:
        RecipeError: A parameter is out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: int = 60
    seed: int = 0
    layout: str = "original"
    height: int = 576
    width: int = 448
    difficulty: float = 0.62
    likeness: float = 0.0
    vendors: int = 1
    first_vendor: int = 0
    priors: int | None = None
    prevalence: float | None = None

    @model_validator(mode="after")
    def _require_ranges(self) -> Self:
        _require_between("patients", self.patients, 1, MAXIMUM_PATIENTS)
        _require_between("height", self.height, MINIMUM_HEIGHT, MAXIMUM_SIDE)
        _require_between("width", self.width, MINIMUM_WIDTH, MAXIMUM_SIDE)
        _require_between("difficulty", self.difficulty, 0, 1)
        _require_between("likeness", self.likeness, 0, 1)
        _require_between("vendors", self.vendors, 1, MAXIMUM_VENDORS)
        _require_between("first vendor", self.first_vendor, 0, MAXIMUM_VENDORS - 1)
        _require_between("priors", self.priors or 0, 0, MAXIMUM_PRIORS)
        _require_between("prevalence", self.prevalence or 0, 0, 1)
        _require_layout(self.layout, self.priors)
        if not 0.4 <= self.width / self.height <= 1.25:
            raise RecipeError(
                "A phantom of this size would not look like a mammogram",
                expected="a width between 0.4 and 1.25 times the height",
                received=f"height {self.height}, width {self.width}",
                hint="CBIS-DDSM images are 0.5 to 0.8 times as wide as they are high: try 576x448.",
            )
        return self

    def to_json(self) -> dict[str, str | int | float | None]:
        """Return the parameters for the marker of a tree.

        Parameters that were added later are left out at their defaults, so that trees made before
        there were any stay complete.
        """
        return self.model_dump(
            exclude={name for name in _ADDED if getattr(self, name) == default_of(name)}
        )


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


def default_of(name: str) -> str | int | float | None:
    """Return the default of a parameter; None for a name that is none.

    Args:
        name: Name of the parameter.
    """
    field = PhantomConfig.model_fields.get(name)
    default: str | int | float | None = field.default if field is not None else None
    return default


def _require_layout(name: str, priors: int | None) -> None:
    if name in CBIS_LAYOUTS and not priors:
        return
    from mammo_core.phantom.layouts.layout import layout_names, published_layouts

    if name not in layout_names():
        raise RecipeError(
            "--layout cannot be used", expected=" or ".join(layout_names()), received=repr(name)
        )
    layouts = published_layouts()
    if priors and not (name in layouts and layouts[name].has_exams):
        raise RecipeError(
            "--priors cannot be used",
            expected="a layout with exams: "
            + ", ".join(layout.name for layout in layouts.values() if layout.has_exams),
            received=f"--layout {name}, whose patients have one exam",
        )


def _require_between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also false for nan
        raise RecipeError(
            f"The phantom's {name} cannot be used",
            expected=f"{name} from {low} to {high}",
            received=f"{value}",
        )
