import pytest

from mammo_core.dicom import laterality_of, view_of


@pytest.mark.parametrize(
    ("text", "view"),
    [
        *((word, "CC") for word in ("CC", "CCID", "FB", "LM", "ML", "MLID", "XCCL", "XCCM")),
        *((word, "MLO") for word in ("MLO", "LMO", "MLOID", "SIO", " mlo ")),
        *((word, None) for word in ("AT", "CV", "RL", "RM", "AP", "", None)),
        ("R-10242", "CC"),
        ("399368009", "MLO"),
    ],
)
def test_views_of_the_original_system(text, view):
    # original-system.md 8.6; codes: DICOM PS3.16 CID 4014.
    assert view_of(text) == view


@pytest.mark.parametrize(
    ("text", "side"),
    [("L", "LEFT"), ("right ", "RIGHT"), ("B", None), ("", None), (None, None)],
)
def test_sides(text, side):
    assert laterality_of(text) == side
