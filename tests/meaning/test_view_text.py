"""Views and modifiers in the words of vendors and sites."""

import pytest

from mammo_core.dicom.meanings.view_text import read_description, read_view_position
from mammo_core.dicom.meanings.views import MODIFIERS, VIEWS

#: View Position → view, modifiers. Prefixes and suffixes: ACR MQCM 1999, PS3.16 CID 4015.
POSITIONS = {
    **{view: (view, ()) for view in VIEWS},
    "RCC": ("CC", ()),
    "LMLO": ("MLO", ()),
    "LML": ("ML", ()),
    "LLM": ("LM", ()),
    "RLMO": ("LMO", ()),
    "RSIO": ("SIO", ()),
    "RXCCL": ("XCCL", ()),
    "R-CC": ("CC", ()),
    "mlo": ("MLO", ()),
    "MCC": ("CC", ("magnification",)),
    "RMCC": ("CC", ("magnification",)),
    "M CC": ("CC", ("magnification",)),
    "MS CC": ("CC", ("magnification", "spot compression")),
    "L SM MLO": ("MLO", ("magnification", "spot compression")),
    "MML": ("ML", ("magnification",)),
    "LSMLO": ("MLO", ("spot compression",)),
    "MSCC": ("CC", ("magnification", "spot compression")),
    "MLOID": ("MLO", ("implant displaced",)),
    "CCID": ("CC", ("implant displaced",)),
    "MLO ID": ("MLO", ("implant displaced",)),
    "CC ID NP": ("CC", ("implant displaced", "nipple in profile")),
    "CCRL": ("CC", ("rolled lateral",)),
    "MLORM": ("MLO", ("rolled medial",)),
    "CCRI": ("CC", ("rolled inferior",)),
    "CCRS": ("CC", ("rolled superior",)),
    "CCAC": ("CC", ("anterior compression",)),
    "CCIMF": ("CC", ("infra-mammary fold",)),
    "MLOAX": ("MLO", ("axillary tissue",)),
    # Modifiers, although some data sets list them as views.
    "AT": (None, ("axillary tail",)),
    "CV": (None, ("cleavage",)),
    "RL": (None, ("rolled lateral",)),
    "RM": (None, ("rolled medial",)),
    "TAN": (None, ("tangential",)),
    "RAT": (None, ("axillary tail",)),
    "LAT": (None, ()),  # a lateral
    "CRANIO-CAUDAL": ("CC", ()),
    "MEDIO-LATERAL OBLIQUE": ("MLO", ()),
    "MEDIOLATERAL": ("ML", ()),
    "AP": (None, ()),
    "": (None, ()),
}


@pytest.mark.parametrize("text", POSITIONS)
def test_view_position(text):
    statement = read_view_position(text)
    assert (statement.view, statement.modifiers) == POSITIONS[text]


#: Description → view, modifiers, side.
DESCRIPTIONS = {
    "L MLO": ("MLO", (), "LEFT"),
    "R CC ID": ("CC", ("implant displaced",), "RIGHT"),
    "R CC Mag": ("CC", ("magnification",), "RIGHT"),
    "Spot mag RMLO": ("MLO", ("magnification", "spot compression"), "RIGHT"),
    "L M CC": ("CC", ("magnification",), "LEFT"),
    "R MS CC": ("CC", ("magnification", "spot compression"), "RIGHT"),
    "MS CC": ("CC", (), None),  # initials, without a side
    "Mammo L CC Spot": ("CC", ("spot compression",), "LEFT"),
    "Implant Displaced L CC": ("CC", ("implant displaced",), "LEFT"),
    "EKLUND LCC": ("CC", ("implant displaced",), "LEFT"),
    "ROLLED LATERAL CC": ("CC", ("rolled lateral",), None),
    "R CC ROLLED MED": ("CC", ("rolled medial",), "RIGHT"),
    "L XCCL C-View": ("XCCL", (), "LEFT"),
    "Exaggerated CC laterally": ("XCCL", (), None),
    "LEFT CC": ("CC", (), "LEFT"),
    "Left CC": ("CC", (), "LEFT"),
    "Right MLO Spot": ("MLO", ("spot compression",), "RIGHT"),
    "Rt. MLO": ("MLO", (), "RIGHT"),
    "Left Breast CC": ("CC", (), "LEFT"),
    "CC Left": ("CC", (), "LEFT"),
    "Left Mlo": ("MLO", (), "LEFT"),
    "R Cc": ("CC", (), "RIGHT"),
    "R cc id": ("CC", ("implant displaced",), "RIGHT"),
    "RightCC": ("CC", (), "RIGHT"),
    "LEFTMLO": ("MLO", (), "LEFT"),
    "Left Cranio-Caudal": ("CC", (), "LEFT"),
    "MLO rechts": ("MLO", (), "RIGHT"),
    "Mamografia izquierda CC": ("CC", (), "LEFT"),
    "MLO LEFT": ("MLO", (), "LEFT"),
    "R Cranio-Caudal": ("CC", (), "RIGHT"),
    "left mediolateral oblique view": ("MLO", (), "LEFT"),
    # Only a modifier.
    "Mag view": (None, ("magnification",), None),
    "cleavage view": (None, ("cleavage",), None),
    "R AT": (None, ("axillary tail",), None),
    "AT": (None, ("axillary tail",), None),
    "tangential": (None, ("tangential",), None),
    # Several views name none; words of English and numbers are no short names.
    "CC/MLO": (None, (), None),
    "Routine CC MLO": (None, (), None),
    "L at 3 o'clock": (None, (), None),
    "10 ml contrast": (None, (), None),
    "5 cc": (None, (), None),
    "id 4711": (None, (), None),
    "ID 4711": (None, (), None),
    "Study at Room 4": (None, (), None),
    "The right at issue": (None, (), None),
    "Contrast left 10 ml": (None, (), None),
    "no magnification L CC": ("CC", (), "LEFT"),
    "Screening": (None, (), None),
}


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_descriptions(text):
    statement = read_description(text)
    result = (statement.view, statement.modifiers, statement.laterality)
    assert result == DESCRIPTIONS[text]


@pytest.mark.parametrize("name", MODIFIERS)
def test_the_meaning_of_each_modifier_is_read_in_a_description(name):
    assert read_description(f"R CC {name.title()}").modifiers == (name,)


@pytest.mark.parametrize("text", ["specimen", "Tissue Specimen", "SPECIMEN L BREAST"])
def test_specimens(text):
    assert read_description(text).specimen
    assert read_view_position(text).specimen
