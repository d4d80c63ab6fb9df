import pytest
from dicom_files import mammogram, random_words, save
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammo_core.dicom import parse_laterality, parse_view, read_facts, view_class

# The classes of DICOM PS3.16 CID 4014, and those of the original (docs/original-system.md, "DREAM
# metadata"), in which ML and LM are CC and SIO is MLO.
CLASSES = {
    "CC": ("CC", "CC"),
    "XCCL": ("CC", "CC"),
    "XCCM": ("CC", "CC"),
    "FB": ("CC", "CC"),
    "MLO": ("MLO", "MLO"),
    "LMO": ("MLO", "MLO"),
    "ML": (None, "CC"),
    "LM": (None, "CC"),
    "SIO": (None, "MLO"),
    "ISO": (None, None),
    "XCC": (None, None),
    None: (None, None),
}


@pytest.mark.parametrize("view", CLASSES)
def test_the_class_of_a_view(view):
    assert (view_class(view), view_class(view, original=True)) == CLASSES[view]


@pytest.mark.parametrize(
    ("text", "view"),
    [
        *((word, word) for word in CLASSES if word),
        (" mlo ", "MLO"),
        ("CCID", "CC"),
        ("MLOID", "MLO"),
        ("LMLO", "MLO"),
        # Modifiers of CID 4015, although some data sets list them as views.
        *((word, None) for word in ("AT", "CV", "RL", "RM", "AP", "", None)),
        ("R-10242", "CC"),
        ("399368009", "MLO"),
    ],
)
def test_names_of_views(text, view):
    assert parse_view(text) == view


@pytest.mark.parametrize(
    ("text", "side"),
    [("L", "LEFT"), ("right ", "RIGHT"), ("B", None), ("", None), (None, None)],
)
def test_laterality_names(text, side):
    assert parse_laterality(text) == side


def code(value, meaning, **more):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SRT", meaning
    for name, nested in more.items():
        setattr(item, name, nested)
    return Sequence([item])


@pytest.mark.parametrize(
    ("fields", "view"),
    [
        ({"ViewPosition": "MLO"}, "MLO"),
        ({"ViewCodeSequence": code("R-10242", "cranio-caudal")}, "CC"),
        ({"ViewCodeSequence": code("399368009", "")}, "MLO"),
        ({"ViewCodeSequence": code("99", "Medio-Lateral Oblique")}, "MLO"),
        ({"ViewCodeSequence": code("99", "PLANTED")}, None),
        ({"ViewCodeSequence": code("99", "PLANTED"), "ViewPosition": "CC"}, "CC"),
        # The code is required (PS3.3 C.8.11.7.1); the text remains from older files.
        ({"ViewCodeSequence": code("R-10226", ""), "ViewPosition": "CC"}, "MLO"),
        ({"ViewPosition": "CV"}, None),
        ({}, None),
    ],
)
def test_the_view_in_a_header(tmp_path, fields, view):
    assert read_facts(save(mammogram(random_words(), **fields), tmp_path / "a.dcm")).view == view


def region(value, meaning=""):
    # CID 244: the side as a modifier of the breast.
    return code("T-04000", "Breast", AnatomicRegionModifierSequence=code(value, meaning))


@pytest.mark.parametrize(
    ("fields", "side"),
    [
        ({"ImageLaterality": "R"}, "RIGHT"),
        ({"Laterality": "L"}, "LEFT"),
        ({"ImageLaterality": "R", "Laterality": "L"}, "RIGHT"),
        ({"ImageLaterality": "B"}, None),
        ({"AnatomicRegionSequence": region("G-A100")}, "RIGHT"),
        ({"AnatomicRegionSequence": region("7771000")}, "LEFT"),
        ({"AnatomicRegionSequence": region("9", "Left")}, "LEFT"),
        ({"AnatomicRegionSequence": code("T-04000", "Breast")}, None),
        ({}, None),
    ],
)
def test_the_laterality_in_a_header(tmp_path, fields, side):
    assert (
        read_facts(save(mammogram(random_words(), **fields), tmp_path / "a.dcm")).laterality == side
    )
