"""What an adapter reads from a source before any file is opened: images and their lesions."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:  # quick to load: see the package
    from mammo_core.dicom.meanings.meaning import ImageType

#: Splits in order of preference for an image that is in several.
SPLITS: Final = ("train", "validation", "test")

#: `malignant` of an image whose label is not known (yet).
UNKNOWN_LABEL: Final = -1
#: Stands for the view in ids of images without one.
UNKNOWN_VIEW: Final = "unknown"


#: Where a label comes from: a pathology result, a radiologist's BI-RADS category, or years without
#: cancer. Empty: the source does not say.
LabelOrigin = Literal["", "biopsy", "birads", "follow-up"]


@dataclass(frozen=True, slots=True)
class Targets:
    """What a source says about a breast besides its label, in columns of the table of images.

    Args:
        label_origin: Where the label comes from.
        birads: BI-RADS assessment category, 0 to 6; None where it is unknown.
        invasive: Whether a cancer is invasive.
        subtype: Molecular subtype of a cancer, in the words of the source.
        years_to_cancer: Years from the exam to the cancer of the patient; 0 at the exam that
            found it.
        years_to_last_negative_exam: Years from the exam to the last one without cancer.
        site: The source's name for a hospital.
        machine: The source's name for a mammography unit.
        race: In the words of the source.
        ethnicity: In the words of the source.
        age_band: Ten years that the patient's age at the exam is in: see `age_bands`.
    """

    label_origin: LabelOrigin = ""
    birads: int | None = None
    invasive: bool | None = None
    subtype: str = ""
    years_to_cancer: float | None = None
    years_to_last_negative_exam: float | None = None
    site: str = ""
    machine: str = ""
    race: str = ""
    ethnicity: str = ""
    age_band: str = ""


@dataclass(frozen=True, slots=True)
class LesionCase:
    """A lesion as a source describes it.

    Args:
        item: Its name in rejects.
        number: Its number among the lesions of its view.
        lesion_type: mass or calc.
        pathology: MALIGNANT, BENIGN or BENIGN_WITHOUT_CALLBACK; empty: the label of its image.
        mask_path: See `masks`; empty where only candidates exist.
        mask_candidates: Files of which one is the mask, relative to the root, the likeliest
            first; they are distinguished by content.
        lesion_id: Its id, unique in the source; by default made of view, type and number.
        order: Its position in the source: masks are read and rejected in this order.
        assessment: BI-RADS category, 0 when unknown.
        subtlety: 1 (subtle) to 5 (obvious), 0 when unknown.
        mass_shape: In the words of the source, or empty; as are the other three.
    """

    item: str
    number: int
    lesion_type: Literal["mass", "calc"]
    pathology: str
    mask_path: str = ""
    mask_candidates: tuple[str, ...] = ()
    lesion_id: str = ""
    order: int = 0
    assessment: int = 0
    subtlety: int = 0
    mass_shape: str = ""
    mass_margins: str = ""
    calc_type: str = ""
    calc_distribution: str = ""


@dataclass(frozen=True, slots=True)
class ImageCase:
    """A mammogram as a source describes it.

    Args:
        item: Its name in rejects.
        paths: Its file, relative to the root; several where the source does not say which,
            the likeliest first; none where the source names a file that does not exist.
        patient_key: The patient's key or public pseudonym, never the patient id itself.
        laterality: LEFT or RIGHT.
        view: Short name of a view of DICOM PS3.16 CID 4014, such as CC; None where the source
            states no view, or only a modifier.
        malignant: 0 or 1, or UNKNOWN_LABEL.
        breast_density: 1 to 4, 0 when unknown.
        split: train, validation or test; empty when the source has no split.
        lesion_types: Types of lesions without a mask.
        lesions: Lesions with a mask.
        table_path: The image's path in the tables of the source, for messages.
        exam_key: The exam's key; empty where the source does not name exams: see `assemble`.
        exam_date: When the exam was, if the source says so; it is never written, and only the
            days from the patient's anchor are.
        pathology_date: When the pathology result was that the label comes from; as exam_date.
        view_modifiers: Modifiers of CID 4015 that the source states.
        specimen: Whether the source states excised tissue.
        implant: Whether the source states an implant.
        image_type: Type of the image where the source states it, such as `synthetic`.
        targets: What else the source says about the breast.
    """

    item: str
    paths: tuple[str, ...]
    patient_key: str
    laterality: str
    view: str | None
    malignant: int
    breast_density: int = 0
    split: str = ""
    lesion_types: frozenset[str] = frozenset()
    lesions: tuple[LesionCase, ...] = ()
    table_path: str = ""
    exam_key: str = ""
    exam_date: date | None = field(default=None, repr=False)
    pathology_date: date | None = field(default=None, repr=False)
    view_modifiers: tuple[str, ...] = ()
    specimen: bool = False
    implant: bool | None = None
    image_type: "ImageType | None" = None
    targets: Targets = Targets()

    @property
    def breast_id(self) -> str:
        """Patient, exam and laterality."""
        return breast_id(self.patient_key, self.exam_key, self.laterality)

    @property
    def view_id(self) -> str:
        """Patient, exam, laterality and view."""
        return f"{self.breast_id}_{self.view or UNKNOWN_VIEW}"

    @property
    def types(self) -> frozenset[str]:
        """Types of all lesions."""
        return self.lesion_types | {lesion.lesion_type for lesion in self.lesions}


def breast_id(patient_key: str, exam_key: str, laterality: str) -> str:
    """Return the id of a breast, which begins the ids of its views.

    Args:
        patient_key: The patient.
        exam_key: The exam; empty for a patient with one exam, or whose exams nobody knows.
        laterality: LEFT or RIGHT.
    """
    return "_".join(part for part in (patient_key, exam_key, laterality) if part)


def case_facts(cases: Iterable[ImageCase]) -> dict[str, Any]:
    """Count what a source describes, without any image.

    Args:
        cases: Its cases.

    Returns:
        views, patients, splits (views, malignant views and patients of each split in use) and
        leaking_patients (how many are in several splits).
    """
    # One pass, because a table may have a million images; an id is made and kept once.
    total, by_split = _Count(), {split: _Count() for split in SPLITS}
    splits: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        view = case.view_id
        total.add(case, view)
        if case.split:
            splits[case.patient_key].add(case.split)
            by_split[case.split].add(case, view)
    return {
        **total.counts(),
        "splits": {split: count.counts() for split, count in by_split.items() if count.views},
        "leaking_patients": sum(len(names) > 1 for names in splits.values()),
    }


class _Count:
    def __init__(self) -> None:
        self.views: set[str] = set()
        self.malignant: set[str] = set()
        self.patients: set[str] = set()

    def add(self, case: ImageCase, view: str) -> None:
        self.views.add(view)
        if case.malignant == 1:
            self.malignant.add(view)
        self.patients.add(case.patient_key)

    def counts(self) -> dict[str, int]:
        return {
            "views": len(self.views),
            "malignant": len(self.malignant),
            "patients": len(self.patients),
        }
