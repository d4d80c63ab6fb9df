"""The women of a phantom that is published like a screening data set: exams of four views.

Cancers, benign lesions and normal breasts are dealt out in turn, so that small trees have every
case. In an earlier exam a malignant lesion is smaller, down to nothing, and its exam is not the one
that found it.
"""

from dataclasses import dataclass, replace
from typing import Final

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.looks import LOOKS
from mammo_core.phantom.plan import (
    LATERALITIES,
    PROJECTIONS,
    Laterality,
    LesionPlan,
    LesionType,
    Projection,
    ViewPlan,
    breast_lesions,
    is_dealt,
)
from mammo_core.seeds import generator

#: Share of patients with a cancer where `--prevalence` does not say: enough to train on.
PREVALENCE: Final = 0.35
_BENIGN_SHARE: Final = 0.4  # of the other patients
_IMPLANT_SHARE: Final = 1 / 15
_TYPES: Final[tuple[tuple[LesionType, ...], ...]] = (("mass",), ("calc",), ("mass", "calc"))
#: Size of a malignant lesion one exam earlier, and the smallest that is still to be seen, in 288ths
#: of the height.
_GROWTH: Final = 0.62
_SMALLEST: Final = 4.0


@dataclass(frozen=True)
class Breast:
    """A breast at an exam.

    Args:
        laterality: LEFT or RIGHT.
        lesions: Those to be seen.
        cancer: Whether the exam found a cancer in it.
        birads: BI-RADS assessment category of the radiologist.
        invasive: Whether the cancer is invasive.
    """

    laterality: Laterality
    lesions: tuple[LesionPlan, ...]
    cancer: bool
    birads: int
    invasive: bool


@dataclass(frozen=True)
class PlannedExam:
    """An exam of a patient.

    Args:
        number: From 1, the earliest first.
        years_before: Years before her last exam.
        breasts: Both breasts.
    """

    number: int
    years_before: int
    breasts: tuple[Breast, ...]


@dataclass(frozen=True)
class Patient:
    """A patient.

    Args:
        index: From 0.
        key: Names her in every draw.
        density: Breast density, 1 to 4.
        vendor: Number of the look of her images.
        implant: Whether she has implants.
        age: Years, at her last exam.
        cancer: Whether her last exam found a cancer.
        exams: The earliest first.
    """

    index: int
    key: str
    density: int
    vendor: int
    implant: bool
    age: int
    cancer: bool
    exams: tuple[PlannedExam, ...]


def plan_population(config: PhantomConfig, *, look: int, priors: int = 0) -> list[Patient]:
    """Plan all patients of a phantom.

    Args:
        config: The phantom's parameters.
        look: Number of the look of the first vendor; further ones follow it.
        priors: Earlier exams of each patient, where `--priors` does not say.
    """
    share = PREVALENCE if config.prevalence is None else config.prevalence
    earlier = priors if config.priors is None else config.priors
    cases = [is_dealt(index, share) for index in range(config.patients)]
    others = 0
    benign: list[bool] = []
    for cancer in cases:
        benign.append(not cancer and is_dealt(others, _BENIGN_SHARE))
        others += not cancer
    order = generator(config.seed, "phantom", config.layout, "order").permutation(config.patients)
    return [
        _patient(config, index, cases[at], benign[at], int(at), look, earlier)
        for index, at in enumerate(order)
    ]


def _patient(
    config: PhantomConfig,
    index: int,
    cancer: bool,
    benign: bool,
    position: int,
    look: int,
    priors: int,
) -> Patient:
    key = f"{config.layout}_{index:05d}"
    draw = generator(config.seed, "phantom", key, "patient")
    density = int(draw.choice(4, p=[0.1, 0.35, 0.4, 0.15])) + 1
    side = LATERALITIES[int(draw.integers(2))]
    types = _TYPES[position % len(_TYPES)] if cancer or benign else ()
    lesions = breast_lesions(config, key, side, types, cancer)
    invasive, calm = bool(draw.random() < 0.75), bool(draw.random() < 0.5)
    exams: list[PlannedExam] = []
    for years in range(priors, -1, -1):
        visible = _earlier(lesions, years) if years else lesions
        is_detected = cancer and not years
        birads = max((lesion.assessment for lesion in visible), default=1 + calm)
        if is_detected:
            birads = max(birads, 4)
        elif visible:  # a lesion that no one suspects, or one to be seen again in half a year
            birads = 3 if position % 4 == 1 and not years else 2
        breasts = tuple(
            Breast(name, visible, is_detected, birads, invasive)
            if name == side
            else Breast(name, (), False, 1 + calm, False)
            for name in LATERALITIES
        )
        exams.append(PlannedExam(priors - years + 1, years, breasts))
    return Patient(
        index=index,
        key=key,
        density=density,
        vendor=(look + config.first_vendor + index % config.vendors) % len(LOOKS),
        implant=is_dealt(index, _IMPLANT_SHARE),
        age=int(draw.integers(40, 75)),
        cancer=cancer,
        exams=tuple(exams),
    )


def _earlier(lesions: tuple[LesionPlan, ...], years: int) -> tuple[LesionPlan, ...]:
    """Return the lesions as they were: benign ones the same, malignant ones smaller or not yet."""
    shrunk = [
        replace(lesion, radius=lesion.radius * _GROWTH**years) if lesion.malignant else lesion
        for lesion in lesions
    ]
    return tuple(lesion for lesion in shrunk if lesion.radius >= _SMALLEST)


def view_plan(
    patient: Patient,
    exam: PlannedExam,
    breast: Breast,
    view: Projection,
    *,
    bits_stored: int = 12,
    photometric: str = "MONOCHROME2",
    copy: str = "",
) -> ViewPlan:
    """Return the plan that a view is drawn from.

    Args:
        patient: The patient.
        exam: The exam.
        breast: The breast.
        view: CC or MLO.
        bits_stored: 8, 12 or 16.
        photometric: MONOCHROME1 or MONOCHROME2.
        copy: Tells several images of one view apart.
    """
    is_last = exam.years_before == 0
    return ViewPlan(
        patient_key=patient.key,
        laterality=breast.laterality,
        view=view,
        density=patient.density,
        table_density=patient.density,
        lesions=breast.lesions,
        splits=(),
        bits_stored=bits_stored,
        photometric=photometric,
        second_scan="only",
        number=0,
        exam="".join(filter(None, ("" if is_last else f"before {exam.years_before}", copy))),
        vendor=patient.vendor,
        implant=patient.implant,
    )


def four_views(exam: PlannedExam) -> list[tuple[Breast, Projection]]:
    """Return the breast and the projection of the four views of an exam.

    Args:
        exam: The exam.
    """
    return [(breast, view) for breast in exam.breasts for view in PROJECTIONS]
