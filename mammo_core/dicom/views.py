"""Laterality and view of a mammogram, in their many spellings."""

from typing import Final, Literal

Laterality = Literal["LEFT", "RIGHT"]
View = Literal["CC", "MLO"]

#: The two classes of views of the original (docs/original-system.md, "DREAM metadata").
_CC: Final = frozenset({"CC", "CCID", "FB", "LM", "ML", "MLID", "XCCL", "XCCM"})
_MLO: Final = frozenset({"MLO", "LMO", "MLOID", "SIO"})

#: DICOM PS3.16 CID 4014 "View for Mammography": SNOMED RT and CT codes → acronym.
_CODES: Final = {
    "R-10224": "ML",
    "399260004": "ML",
    "R-10226": "MLO",
    "399368009": "MLO",
    "R-10228": "LM",
    "399352003": "LM",
    "R-10230": "LMO",
    "399099002": "LMO",
    "R-10242": "CC",
    "399162004": "CC",
    "R-10244": "FB",
    "399196006": "FB",
    "R-102D0": "SIO",
    "399188001": "SIO",
    "R-1024A": "XCCL",
    "399192008": "XCCL",
    "R-1024B": "XCCM",
    "399101009": "XCCM",
}

#: Meanings of those codes in CID 4014, for files with code values of another scheme.
_MEANINGS: Final = {
    "cranio-caudal": "CC",
    "craniocaudal": "CC",
    "medio-lateral": "ML",
    "mediolateral": "ML",
    "medio-lateral oblique": "MLO",
    "mediolateral oblique": "MLO",
    "latero-medial": "LM",
    "lateromedial": "LM",
    "latero-medial oblique": "LMO",
    "lateromedial oblique": "LMO",
    "caudo-cranial (from below)": "FB",
    "superolateral to inferomedial oblique": "SIO",
    "cranio-caudal exaggerated laterally": "XCCL",
    "cranio-caudal exaggerated medially": "XCCM",
}
#: CID 244 "Laterality": SNOMED RT and CT codes.
_SIDES: Final = {
    "G-A101": "LEFT",
    "7771000": "LEFT",
    "G-A100": "RIGHT",
    "24028007": "RIGHT",
}


def parse_laterality(text: str | None) -> Laterality | None:
    """Return the side that a text names.

    Args:
        text: L, R, LEFT or RIGHT in any case; anything else gives None.
    """
    word = (text or "").strip().upper()
    if word in ("L", "LEFT"):
        return "LEFT"
    return "RIGHT" if word in ("R", "RIGHT") else None


def parse_view(text: str | None) -> View | None:
    """Return the class, CC or MLO, of a view position or view code.

    Args:
        text: View Position (0018,5101), or a code value of CID 4014.

    Returns:
        CC, MLO, or None for any other view (AT, CV, RL, RM …).
    """
    word = (text or "").strip().upper()
    word = _CODES.get(word, word)
    if word in _CC:
        return "CC"
    return "MLO" if word in _MLO else None


def laterality_from_code(value: str, meaning: str) -> Laterality | None:
    """Return the side that an anatomic region modifier code names.

    Args:
        value: Code Value (PS3.16 CID 244).
        meaning: Code Meaning, used if the value is unknown.
    """
    return parse_laterality(_SIDES.get(value.strip().upper()) or meaning)


def view_from_code(value: str, meaning: str) -> View | None:
    """Return the class, CC or MLO, of a view code.

    Args:
        value: Code Value (PS3.16 CID 4014).
        meaning: Code Meaning, used if the value is unknown.
    """
    word = value.strip().upper()
    if word in _CODES or word in _CC or word in _MLO:
        return parse_view(word)
    words = meaning.strip().lower().removesuffix(" projection").removesuffix(" view")
    return parse_view(_MEANINGS.get(words, words))
