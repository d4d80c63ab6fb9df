"""Laterality and view of a mammogram, from their many spellings."""

from typing import Final, Literal

Laterality = Literal["LEFT", "RIGHT"]
View = Literal["CC", "MLO"]

#: The two classes of views of the original system (its metadata manager).
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

#: Meanings of those codes in CID 4014, for files whose code values are of another scheme.
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
    """Return the side a word names.

    Args:
        text: L, R, LEFT or RIGHT in any case; anything else names no side.
    """
    word = (text or "").strip().upper()
    if word in ("L", "LEFT"):
        return "LEFT"
    return "RIGHT" if word in ("R", "RIGHT") else None


def parse_view(text: str | None) -> View | None:
    """Return which of the two views a view position or view code belongs to.

    Args:
        text: View Position (0018,5101), or a code value of CID 4014.

    Returns:
        CC, MLO, or None for a view of neither kind (AT, CV, RL, RM …).
    """
    word = (text or "").strip().upper()
    word = _CODES.get(word, word)
    if word in _CC:
        return "CC"
    return "MLO" if word in _MLO else None


def laterality_of_code(value: str, meaning: str) -> Laterality | None:
    """Return the side that a code of an anatomic region modifier names.

    Args:
        value: Code Value, of CID 244 in PS3.16.
        meaning: Code Meaning, which counts where the value is not known.
    """
    return parse_laterality(_SIDES.get(value.strip().upper()) or meaning)


def view_of_code(value: str, meaning: str) -> View | None:
    """Return which of the two views a code of a view belongs to.

    Args:
        value: Code Value, of CID 4014 in PS3.16.
        meaning: Code Meaning, which counts where the value is not known.
    """
    word = value.strip().upper()
    if word in _CODES or word in _CC or word in _MLO:
        return parse_view(word)
    words = meaning.strip().lower().removesuffix(" projection").removesuffix(" view")
    return parse_view(_MEANINGS.get(words, words))
