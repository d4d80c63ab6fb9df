"""Plan the patients of a phantom: breasts, views, lesions, classes and official splits.

Nothing is drawn here, so planning thousands of patients is quick. Proportions follow
CBIS-DDSM (about 45 % malignant, 70 : 30 official split, 1.9 to 2.3 views per patient, two
percent of the patients on both sides of the split once mass and calcification are merged) and
are dealt out in turn, not at random, so that small trees contain every case too.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mammo_core.phantom.config import MAXIMUM_VENDORS, PhantomConfig
from mammo_core.phantom.latent import appearance, separation
from mammo_core.seeds import generator

LesionType = Literal["mass", "calc"]
Split = Literal["train", "test"]
Laterality = Literal["LEFT", "RIGHT"]
Projection = Literal["CC", "MLO"]
Scan = Literal["only", "identical", "again"]

LATERALITIES: tuple[Laterality, ...] = ("LEFT", "RIGHT")
PROJECTIONS: tuple[Projection, ...] = ("CC", "MLO")
LEAK_FROM_PATIENTS = 20
_MALIGNANT_SHARE = 0.45
_TEST_SHARE = 0.3
_LEAK_SHARE = 31 / 1566  # CBIS-DDSM, computed from the four official tables
_LESION_TYPES: tuple[tuple[LesionType, ...], ...] = (
    ("mass",), ("calc",), ("mass", "calc"), ("mass",), ("calc",), ("mass",), ("calc",),
)  # fmt: skip


@dataclass(frozen=True)
class LesionPlan:
    """One abnormality of a breast, the same in every view of it.

    Args:
        lesion_type: mass or calc.
        number: Abnormality id within its lesion_type and breast, from 1.
        degree: Latent malignancy degree (`mammo_core.phantom.latent`).
        malignant: Whether it is malignant.
        pathology: In the words of the case tables.
        assessment: BI-RADS assessment of the tables, 0 to 5.
        subtlety: 1 (hard to see) to 5 (obvious).
        first_word: Mass shape, or calcification type.
        second_word: Mass margins, or calcification distribution.
        radius: In 288ths of the image height.
        depth: Distance from the nipple, as a share of the breast's depth, 0 to 1.
    """

    lesion_type: LesionType
    number: int
    degree: float
    malignant: bool
    pathology: str
    assessment: int
    subtlety: int
    first_word: str
    second_word: str
    radius: float
    depth: float


@dataclass(frozen=True)
class ViewPlan:
    """One view: a projection of one breast of one patient, with its lesions.

    Args:
        patient_key: Pseudonym, such as P_00001.
        laterality: LEFT or RIGHT.
        view: CC or MLO.
        density: Breast density it is drawn with, 1 to 4.
        table_density: Breast density the tables state: the same, or 0.
        lesions: The lesions drawn in it.
        splits: The official split of each lesion lesion_type.
        bits_stored: 8, 12 or 16.
        photometric: MONOCHROME1 or MONOCHROME2.
        second_scan: Origin of the second file of a view that is in both tables.
        number: Running number of the view in the tree.
        exam: Tells exams, and several images of a view, apart; empty for the only one.
        vendor: Number of the look of the image (`mammo_core.phantom.looks`).
        implant: Whether the breast has an implant.
    """

    patient_key: str
    laterality: Laterality
    view: Projection
    density: int
    table_density: int
    lesions: tuple[LesionPlan, ...]
    splits: tuple[tuple[LesionType, Split], ...]
    bits_stored: int
    photometric: str
    second_scan: Scan
    number: int
    exam: str = ""
    vendor: int = 0
    implant: bool = False

    @property
    def view_id(self) -> str:
        """Patient, laterality and view, as in P_00001_LEFT_CC."""
        return f"{self.patient_key}_{self.laterality}_{self.view}"

    @property
    def malignant(self) -> bool:
        """Whether any lesion of the view is malignant."""
        return any(lesion.malignant for lesion in self.lesions)


@dataclass(frozen=True)
class _Slot:
    malignant: bool
    split: Split
    lesion_types: tuple[LesionType, ...]
    leak: bool


def plan_views(config: PhantomConfig) -> list[ViewPlan]:
    """List every view of a phantom, by patient, laterality and view.

    Args:
        config: The phantom's parameters.

    Returns:
        About two views per patient. The same for the same parameters, except that height,
        width and layout change nothing.
    """
    views: list[ViewPlan] = []
    numbers = generator(config.seed, "phantom", "pseudonyms").integers(1, 4, config.patients)
    pseudonym = 0
    for index, slot in enumerate(_slots(config)):
        # The first one is P_00001 and the others leave gaps, as in CBIS-DDSM.
        pseudonym += int(numbers[index]) if index else 1
        key = f"P_{pseudonym:05d}"
        views.extend(_patient_views(config, key, index, slot, len(views)))
    return views


def _slots(config: PhantomConfig) -> list[_Slot]:
    slots: list[_Slot] = []
    share = _MALIGNANT_SHARE if config.prevalence is None else config.prevalence
    members = {True: 0, False: 0}
    cells: dict[tuple[bool, Split], int] = {}
    leaks = round(config.patients * _LEAK_SHARE)
    leaks = max(1, leaks) if config.patients >= LEAK_FROM_PATIENTS else 0
    for index in range(config.patients):
        malignant = is_dealt(index, share)
        split: Split = "test" if is_dealt(members[malignant], _TEST_SHARE) else "train"
        members[malignant] += 1
        position = cells.get((malignant, split), 0)
        cells[malignant, split] = position + 1
        lesion_types = _LESION_TYPES[(position + (0 if malignant else 1)) % len(_LESION_TYPES)]
        leak = len(lesion_types) == 2 and leaks > 0
        leaks -= leak
        slots.append(_Slot(malignant, split, lesion_types, leak))
    order = generator(config.seed, "phantom", "order").permutation(config.patients)
    return [slots[index] for index in order]


def is_dealt(index: int, share: float) -> bool:
    """Return whether the index-th of a sequence belongs to a share dealt out evenly.

    Args:
        index: From 0.
        share: 0 to 1.
    """
    return int((index + 1) * share + 0.5) > int(index * share + 0.5)


def _patient_views(
    config: PhantomConfig, key: str, index: int, slot: _Slot, first: int
) -> list[ViewPlan]:
    draw = generator(config.seed, "phantom", key, "patient")
    density = int(draw.choice(4, p=[0.14, 0.39, 0.30, 0.17])) + 1  # CBIS-DDSM, all four tables
    table_density = 0 if index % 37 == 11 else density
    side: Laterality = "LEFT" if draw.random() < 0.5 else "RIGHT"
    breasts: list[tuple[Laterality, tuple[LesionType, ...], bool]] = [
        (side, slot.lesion_types, slot.malignant)
    ]
    if draw.random() < 0.10:
        other: Laterality = "RIGHT" if side == "LEFT" else "LEFT"
        # A patient's breasts mostly agree; a malignant patient's second one may be benign.
        agrees = draw.random() < 0.7
        breasts.append((other, slot.lesion_types[:1], slot.malignant and agrees))
        breasts.sort()
    splits: list[tuple[LesionType, Split]] = [
        (lesion_type, slot.split) for lesion_type in slot.lesion_types
    ]
    if slot.leak:
        splits = [("mass", "train"), ("calc", "test")]
    views: list[ViewPlan] = []
    for laterality, lesion_types, malignant in breasts:
        lesions = breast_lesions(config, key, laterality, lesion_types, malignant)
        single = draw.random() < 0.14 and len(lesion_types) == 1
        only = "MLO" if draw.random() < 0.8 else "CC"
        for view in PROJECTIONS:
            if single and view != only:
                continue
            number = first + len(views)
            views.append(
                ViewPlan(
                    patient_key=key,
                    laterality=laterality,
                    view=view,
                    density=density,
                    table_density=table_density,
                    lesions=lesions,
                    splits=tuple(entry for entry in splits if entry[0] in lesion_types),
                    bits_stored={5: 8, 2: 12, 9: 12}.get(number % 12, 16),
                    photometric="MONOCHROME1" if number % 10 == 7 else "MONOCHROME2",
                    second_scan=(
                        "only"
                        if len(lesion_types) == 1
                        else "identical"
                        if view == "CC"
                        else "again"
                    ),
                    number=number,
                    vendor=(config.first_vendor + index % config.vendors) % MAXIMUM_VENDORS,
                )
            )
    return views


def breast_lesions(
    config: PhantomConfig,
    key: str,
    laterality: Laterality,
    lesion_types: tuple[LesionType, ...],
    malignant: bool,
) -> tuple[LesionPlan, ...]:
    """Plan the lesions of a breast.

    Args:
        config: The phantom's parameters.
        key: Names the patient in every draw.
        laterality: LEFT or RIGHT.
        lesion_types: One or two lesions of each.
        malignant: Whether they are malignant.
    """
    lesions: list[LesionPlan] = []
    for lesion_type in lesion_types:
        draw = generator(config.seed, "phantom", key, laterality, lesion_type)
        count = 2 if len(lesion_types) == 1 and draw.random() < 0.16 else 1
        for number in range(1, count + 1):
            # A malignant breast rarely has a benign lesion as well.
            benign = number > 1 and malignant and draw.random() < 0.2
            lesions.append(_lesion(config, draw, lesion_type, number, malignant and not benign))
    return tuple(lesions)


def _lesion(
    config: PhantomConfig,
    draw: np.random.Generator,
    lesion_type: LesionType,
    number: int,
    malignant: bool,
) -> LesionPlan:
    # All difficulties share the standard normal draw, so that a change of difficulty moves
    # every lesion smoothly.
    half = separation(config.difficulty)
    degree = float(draw.standard_normal()) + (half if malignant else -half)
    look = appearance(degree)
    first_word, second_word = _words(draw, lesion_type, look)
    assessment = int(np.clip(round(2.4 + 2.4 * look + draw.normal(0.0, 0.5)), 2, 5))
    if malignant:
        pathology = "MALIGNANT"
        assessment = max(assessment, 3)
    else:
        pathology = "BENIGN_WITHOUT_CALLBACK" if assessment == 2 else "BENIGN"
    return LesionPlan(
        lesion_type=lesion_type,
        number=number,
        degree=degree,
        malignant=malignant,
        pathology=pathology,
        assessment=assessment,
        subtlety=int(draw.choice(5, p=[0.05, 0.12, 0.28, 0.27, 0.28])) + 1,
        first_word=first_word,
        second_word=second_word,
        radius=float(draw.uniform(12.5, 18.0)),
        depth=float(draw.uniform(0.25, 0.75)),
    )


def _words(draw: np.random.Generator, lesion_type: LesionType, look: float) -> tuple[str, str]:
    """Describe the lesion in the words of the tables; some rows have N/A."""
    level = 0 if look < 0.33 else 1 if look < 0.66 else 2
    coin = int(draw.integers(2))
    silent = draw.random()
    if lesion_type == "mass":
        first = (
            ("ROUND", "OVAL"),
            ("LOBULATED", "OVAL-LOBULATED"),
            ("IRREGULAR", "IRREGULAR-ARCHITECTURAL_DISTORTION"),
        )[level][coin]
        second = (
            ("CIRCUMSCRIBED", "CIRCUMSCRIBED-OBSCURED"),
            ("MICROLOBULATED", "OBSCURED"),
            ("SPICULATED", "ILL_DEFINED"),
        )[level][coin]
        return first, "N/A" if silent < 0.05 else second
    first = (
        ("ROUND_AND_REGULAR", "COARSE"),
        ("AMORPHOUS", "PUNCTATE-AMORPHOUS"),
        ("PLEOMORPHIC", "FINE_LINEAR_BRANCHING"),
    )[level][coin]
    second = (("N/A", "CLUSTERED"), ("CLUSTERED", "REGIONAL"), ("CLUSTERED", "SEGMENTAL"))[level][
        coin
    ]
    return "N/A" if silent < 0.02 else first, second
