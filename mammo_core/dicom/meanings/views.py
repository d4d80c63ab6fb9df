"""Laterality, views and view modifiers of mammograms, in their codes and meanings."""

import re
from typing import Final, Literal

Laterality = Literal["LEFT", "RIGHT"]
ViewClass = Literal["CC", "MLO"]

#: Short name (ACR MQCM 1999) → SNOMED codes and meanings of PS3.16 CID 4014 "View for
#: Mammography". The first code is SNOMED CT (SCT), the second SNOMED RT (SRT, SNM3, 99SDM), further
#: ones were retired: Y-X1770 and Y-X1771, and the term XCC, which does not state its direction.
VIEWS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "CC": (("399162004", "R-10242"), ("cranio-caudal",)),
    "MLO": (("399368009", "R-10226"), ("medio-lateral oblique", "medial-lateral oblique")),
    "ML": (("399260004", "R-10224"), ("medio-lateral", "medial-lateral", "medial to lateral")),
    "LM": (("399352003", "R-10228"), ("latero-medial", "lateral-medial", "lateral to medial")),
    "LMO": (("399099002", "R-10230"), ("latero-medial oblique", "lateral-medial oblique")),
    "XCCL": (
        ("399192008", "R-1024A", "Y-X1770"),
        ("cranio-caudal exaggerated laterally", "exaggerated cranio-caudal laterally"),
    ),
    "XCCM": (
        ("399101009", "R-1024B", "Y-X1771"),
        ("cranio-caudal exaggerated medially", "exaggerated cranio-caudal medially"),
    ),
    "XCC": (("399265009", "R-102CF"), ("cranio-caudal exaggerated", "exaggerated cranio-caudal")),
    "FB": (("399196006", "R-10244"), ("caudo-cranial", "caudo-cranial (from below)", "from below")),
    "SIO": (
        ("399188001", "R-102D0"),
        ("superolateral to inferomedial oblique", "superolateral-inferomedial oblique"),
    ),
    "ISO": (
        ("441555000", "R-40AAA"),
        ("inferomedial to superolateral oblique", "inferomedial-superolateral oblique"),
    ),
}

#: Modifier → its short name, and codes and meanings of PS3.16 CID 4015 "View Modifier for
#: Mammography".
MODIFIERS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "anterior compression": ("AC", ("441752004", "P2-00161"), ()),
    "axillary tail": ("AT", ("399011000", "R-102D1"), ()),
    "axillary tissue": ("AX", ("442580003", "R-40AB2"), ()),
    "cleavage": ("CV", ("399161006", "R-102D2"), ()),
    "implant displaced": ("ID", ("399209000", "R-102D5"), ("eklund",)),
    "infra-mammary fold": ("IMF", ("442593008", "R-40ABE"), ()),
    "magnification": ("M", ("399163009", "R-102D6"), ("magnified",)),
    "nipple in profile": ("NP", ("442581004", "R-40AB3"), ()),
    "rolled inferior": ("RI", ("414493004", "R-102CA"), ()),
    "rolled lateral": ("RL", ("399197002", "R-102D3"), ()),
    "rolled medial": ("RM", ("399226006", "R-102D4"), ()),
    "rolled superior": ("RS", ("415670009", "R-102C9"), ()),
    "spot compression": ("S", ("399055006", "R-102D7"), ("spot",)),
    "tangential": ("TAN", ("399110001", "R-102C2"), ()),
}

#: Concept Unique Identifiers (UMLS) that PS3.16 lists beside the codes of both context groups.
_UMLS_VIEWS: Final = {
    "C0442215": "CC", "C1302345": "MLO", "C1302283": "ML", "C1302336": "LM", "C1302201": "LMO",
    "C1302247": "XCCL", "C1302202": "XCCM", "C1302249": "FB", "C1302245": "SIO", "C2711617": "ISO",
}  # fmt: skip
_UMLS_MODIFIERS: Final = {
    "C1302232": "cleavage", "C1302167": "axillary tail", "C1275832": "rolled lateral",
    "C1275838": "rolled medial", "C1532323": "rolled inferior", "C1531911": "rolled superior",
    "C1275834": "implant displaced", "C1302233": "magnification", "C1302185": "spot compression",
    "C0442227": "tangential", "C2711408": "nipple in profile", "C2711933": "anterior compression",
    "C2711136": "infra-mammary fold", "C2711122": "axillary tissue",
}  # fmt: skip

#: Codes and meanings of a tissue specimen: a view of CID 4014 without a short name.
_SPECIMEN_CODES: Final = ("127457009", "G-8310", "C0444070")
_SPECIMEN_MEANINGS: Final = ("tissue specimen from breast", "tissue specimen", "specimen")

_CLASSES: Final[dict[str, ViewClass]] = {
    "CC": "CC", "XCCL": "CC", "XCCM": "CC", "FB": "CC", "MLO": "MLO", "LMO": "MLO",
}  # fmt: skip
#: The two classes of views of the original (docs/original-system.md, "DREAM metadata").
_ORIGINAL_CLASSES: Final[dict[str, ViewClass]] = _CLASSES | {"ML": "CC", "LM": "CC", "SIO": "MLO"}

#: Words that a name of a view or modifier may have without another meaning.
NEUTRAL_WORDS: Final = ("view", "views", "projection")

#: CID 244 "Laterality", and the breasts of CID 6022 "Side": SNOMED RT and CT codes.
_SIDES: Final = {
    "T-04030": "LEFT",
    "80248007": "LEFT",
    "T-04020": "RIGHT",
    "73056007": "RIGHT",
    "G-A101": "LEFT",
    "7771000": "LEFT",
    "G-A100": "RIGHT",
    "24028007": "RIGHT",
}


def view_class(view: str | None, *, original: bool = False) -> ViewClass | None:
    """Return the class of a view: what a network sees as one kind of picture.

    Args:
        view: Short name of a view of CID 4014, or None.
        original: Whether to use the two classes of the original, in which ML and LM are CC and SIO
            is MLO.

    Returns:
        CC or MLO, or None for a view of neither class.
    """
    return (_ORIGINAL_CLASSES if original else _CLASSES).get(view or "")


def parse_laterality(text: str | None) -> Laterality | None:
    """Return the side that a text names.

    Args:
        text: L, R, LEFT or RIGHT in any case; anything else gives None.
    """
    word = (text or "").strip().upper()
    if word in ("L", "LEFT"):
        return "LEFT"
    return "RIGHT" if word in ("R", "RIGHT") else None


def laterality_from_code(value: str, meaning: str) -> Laterality | None:
    """Return the side that the code of an anatomic region, or of its modifier, names.

    Args:
        value: Code Value (PS3.16 CID 244, or a breast of CID 6022).
        meaning: Code Meaning, used if the value is unknown.
    """
    return parse_laterality(_SIDES.get(value.strip().upper()) or meaning)


def view_from_code(value: str) -> str | None:
    """Return the view of a code value of CID 4014, or of a short name used as a code."""
    word = value.strip().upper()
    return word if word in VIEWS else _VIEW_OF_CODE.get(word)


def view_from_meaning(meaning: str) -> str | None:
    """Return the view that a code meaning states, in any spelling of its words."""
    return VIEW_OF_MEANING.get(normalize_meaning(meaning))


def modifier_from_code(value: str) -> str | None:
    """Return the modifier of a code value of CID 4015."""
    return _MODIFIER_OF_CODE.get(value.strip().upper())


def modifier_from_meaning(meaning: str) -> str | None:
    """Return the modifier that a code meaning states, in any spelling of its words."""
    return MODIFIER_OF_MEANING.get(normalize_meaning(meaning))


def is_specimen_code(value: str, meaning: str) -> bool:
    """Return whether a view code names a tissue specimen."""
    return value.strip() in _SPECIMEN_CODES or normalize_meaning(meaning) in _SPECIMEN_WORDS


def normalize_meaning(meaning: str) -> str:
    """Return the letters of a meaning: spelling of blanks, hyphens and brackets does not matter."""
    words = re.findall(r"[a-z]+", meaning.lower())
    return "".join(word for word in words if word not in NEUTRAL_WORDS)


_VIEW_OF_CODE: Final = {
    code: view for view, (codes, _) in VIEWS.items() for code in codes
} | _UMLS_VIEWS
VIEW_OF_MEANING: Final = {
    normalize_meaning(text): view
    for view, (_, meanings) in VIEWS.items()
    for text in (view, *meanings)
}
_MODIFIER_OF_CODE: Final = {
    code: name for name, (_, codes, _meanings) in MODIFIERS.items() for code in codes
} | _UMLS_MODIFIERS
MODIFIER_OF_MEANING: Final = {
    normalize_meaning(text): name
    for name, (_, _codes, meanings) in MODIFIERS.items()
    for text in (name, *meanings)
}
_SPECIMEN_WORDS: Final = frozenset(map(normalize_meaning, _SPECIMEN_MEANINGS))
