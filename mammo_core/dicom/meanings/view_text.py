"""Views, modifiers and sides in the text fields of a header, by allow-listed words."""

import re
from dataclasses import dataclass
from typing import Final

from mammo_core.dicom.meanings.views import (
    MODIFIER_OF_MEANING,
    MODIFIERS,
    NEUTRAL_WORDS,
    VIEW_OF_MEANING,
    VIEWS,
    Laterality,
    normalize_meaning,
    view_from_code,
)


@dataclass(frozen=True)
class ViewText:
    """What a text says about a view.

    Args:
        view: Short name of a view of CID 4014; None if the text names none, or several.
        modifiers: Modifiers of CID 4015 in alphabetical order.
        laterality: The side that stands with the view.
        specimen: Whether the text names a specimen.
        implant: Whether the text names an implant.
    """

    view: str | None = None
    modifiers: tuple[str, ...] = ()
    laterality: Laterality | None = None
    specimen: bool = False
    implant: bool = False

    def __bool__(self) -> bool:
        return bool(self.view or self.modifiers or self.specimen or self.implant)


#: Short names of modifiers that stand for themselves (CV, AT, TAN) or after a view (…RL).
_SHORT: Final = {short: name for name, (short, _, _) in MODIFIERS.items() if len(short) > 1}
_PREFIXES: Final = {"M": "magnification", "S": "spot compression"}
_VIEW: Final = "|".join(sorted(VIEWS, key=len, reverse=True))
_SUFFIX: Final = "|".join(sorted(_SHORT, key=len, reverse=True))
_PREFIX: Final = re.compile("[MS]{1,2}")
#: One word such as CC, LMLO, RMCC, MLOID: side, prefixes, view, suffixes.
_WORD: Final = re.compile(rf"(LEFT|RIGHT|LT|RT|[LR]?)([MS]{{0,2}})({_VIEW})((?:{_SUFFIX})*)")
_SIDE_AND_MODIFIER: Final = re.compile(rf"([LR]?)((?:{_SUFFIX})+)")
#: Words and phrases of vendors and sites (letters only) → modifier, besides its meanings.
_PHRASES: Final = {
    phrase: name
    for name, phrases in {
        "anterior compression": "antcomp anteriorcomp",
        "axillary tail": "axtail axilltail",
        "axillary tissue": "axilla axillary",
        "cleavage": "cleavageview clv",
        "implant displaced": "displacedimplant implantdisplacement implantsdisplaced impdisp "
        "impldisp implantdisp pushback pushedback implantpushback implantpushedback",
        "infra-mammary fold": "inframammary",
        "magnification": "mag magn magview",
        "nipple in profile": "nippleprofile",
        "rolled inferior": "rollinferior rollinf rolledinf rolledinferiorly",
        "rolled lateral": "rolllateral rolllat rolledlat rolledlaterally",
        "rolled medial": "rollmedial rollmed rolledmed rolledmedially",
        "rolled superior": "rollsuperior rollsup rolledsup rolledsuperiorly",
        "spot compression": "spotcomp spotcompressed",
        "tangential": "tang tangent",
    }.items()
    for phrase in phrases.split()
}
_VIEW_PHRASES: Final = {
    "xcclateral": "XCCL",
    "xcclat": "XCCL",
    "exaggeratedcclateral": "XCCL",
    "exaggeratedcclaterally": "XCCL",
    "ccexaggeratedlaterally": "XCCL",
    "xccmedial": "XCCM",
    "xccmed": "XCCM",
    "exaggeratedccmedial": "XCCM",
    "exaggeratedccmedially": "XCCM",
    "ccexaggeratedmedially": "XCCM",
    "exaggeratedcc": "XCC",
    "ccexaggerated": "XCC",
}
_SPECIMEN: Final = ("specimen", "tissuespecimen")
_IMPLANT: Final = ("implant", "implants", "prosthesis", "prostheses")
#: Sides, also in the languages of vendors and sites.
_SIDES: Final[dict[str, Laterality]] = {
    **dict.fromkeys(("L", "LT", "LEFT", "LINKS", "GAUCHE", "IZQUIERDA", "IZQUIERDO"), "LEFT"),
    **dict.fromkeys(("IZQ", "SINISTRA", "ESQUERDA"), "LEFT"),
    **dict.fromkeys(("R", "RT", "RIGHT", "RECHTS", "DROITE", "DROIT"), "RIGHT"),
    **dict.fromkeys(("DERECHA", "DERECHO", "DESTRA", "DIREITA"), "RIGHT"),
}
_NEUTRAL: Final = (*NEUTRAL_WORDS, "mammo", "mammogram", "breast")
_NEGATIONS: Final = ("no", "non", "not", "without", "wo")
#: Characters of a text that are read: a description has up to 64 (PS3.5 6.2).
_MAXIMUM: Final = 256
_ALL_VIEWS: Final = VIEW_OF_MEANING | _VIEW_PHRASES
_ALL_MODIFIERS: Final = MODIFIER_OF_MEANING | _PHRASES
_ALL_PHRASES: Final = frozenset((*_ALL_VIEWS, *_ALL_MODIFIERS, *_SPECIMEN, *_IMPLANT))
_STARTS_OF_PHRASES: Final = frozenset(
    phrase[:length] for phrase in _ALL_PHRASES for length in range(len(phrase) + 1)
)
_NAMES: Final = frozenset((*VIEWS, *_SHORT))


def parse_view(text: str | None) -> str | None:
    """Return the view that a View Position, a name of a view or a code names.

    Args:
        text: View Position (0018,5101), a short name with its prefixes and suffixes, a code value
            or a meaning of CID 4014.

    Returns:
        The short name; None for any other text, and for modifiers (AT, CV, RL, RM …).
    """
    return view_from_code(text or "") or read_view_position(text or "").view


def read_view_position(text: str) -> ViewText:
    """Read a field that holds a view and nothing else.

    Args:
        text: View Position (0018,5101), or a view in a table.
    """
    return _Reader(text, strict=False).read()


def read_description(text: str) -> ViewText:
    """Read a description in the words of a vendor or a site, such as Series Description.

    Two-letter modifiers count only where they follow a side, a view or a modifier, because they
    are words of English or initials elsewhere.

    Args:
        text: The text, which is never repeated.
    """
    return _Reader(text, strict=True).read()


class _Reader:
    """A pass over the words of one text."""

    def __init__(self, text: str, *, strict: bool) -> None:
        text = re.sub(r"(?<=[a-z])(?=[A-Z]{2})", " ", text[:_MAXIMUM])  # LeftMLO
        self._words = re.findall(r"[A-Za-z]+|[0-9]+[A-Za-z]*", text)
        self._letters = [normalize_meaning(word) for word in self._words]
        self._strict = strict
        self._is_lower = all(word == word.lower() for word in self._words if word not in ("L", "R"))
        self._views: set[str] = set()
        self._modifiers: set[str] = set()
        self._sides: set[Laterality] = set()
        self._specimen = False
        self._implant = False

    def read(self) -> ViewText:
        """Return what the text says."""
        at, pending, unknown = 0, set[str](), False
        previous = ""  # kind of the word before: side, view, modifier or nothing
        side: Laterality | None = None
        while at < len(self._words):
            length, kind = self._phrase(at)
            word = self._words[at].upper()
            is_side = word in _SIDES and (len(word) > 1 or self._is_name(at))
            if not kind and is_side:
                side, kind = _SIDES[word], "side"
                if previous == "view":
                    self._sides.add(side)
            elif not kind:
                kind = self._name(at, previous, pending)
            if kind == "view" and previous == "side" and side is not None:
                self._sides.add(side)
            if self._words[at].lower() not in _NEUTRAL:
                unknown = unknown or not kind
                previous = kind
            at += length
        if pending and not unknown:
            self._modifiers |= pending
        return ViewText(
            next(iter(self._views)) if len(self._views) == 1 else None,
            tuple(sorted(self._modifiers)),
            next(iter(self._sides)) if len(self._sides) == 1 else None,
            self._specimen,
            self._implant,
        )

    def _phrase(self, at: int) -> tuple[int, str]:
        """Read the longest phrase that starts at a word; return its length and its kind."""
        letters, best, longest = "", "", 0
        for length, word in enumerate(self._letters[at:], 1):
            letters += word
            if letters not in _STARTS_OF_PHRASES:
                break
            # Short names are read with their prefixes and suffixes.
            if letters in _ALL_PHRASES and letters.upper() not in _NAMES:
                best, longest = letters, length
        if not best:
            return 1, ""
        if at > 0 and self._words[at - 1].lower() in _NEGATIONS:
            return longest, "negated"
        if view := _ALL_VIEWS.get(best):
            self._views.add(view)
            return longest, "view"
        if modifier := _ALL_MODIFIERS.get(best):
            self._modifiers.add(modifier)
            return longest, "modifier"
        if best in _IMPLANT:
            self._implant = True
            return longest, "implant"
        self._specimen = True
        return longest, "specimen"

    def _name(self, at: int, previous: str, pending: set[str]) -> str:
        """Read a word such as LMLO, RMCC, MLOID, AT; return its kind."""
        word = self._words[at].upper()
        match = _WORD.fullmatch(word)
        # After a side, a view counts in any case: `Left Cc`.
        if not self._is_name(at) and not (match and previous == "side"):
            return ""
        if match:
            side, prefixes, view, suffixes = match.groups()
            if view_from_code(word):  # LMO is a view, not the left side of another one
                side, prefixes, view, suffixes = "", "", word, ""
            self._views.add(view)
            self._modifiers.update(_PREFIXES[letter] for letter in prefixes)
            self._modifiers.update(_split_suffixes(suffixes))
            if side:
                self._sides.add(_SIDES[side])
            return "view"
        # LAT is a lateral, not the left axillary tail.
        if (match := _SIDE_AND_MODIFIER.fullmatch(word)) and word != "LAT":
            modifiers = _split_suffixes(match[2])
            if not self._strict or previous in ("side", "view", "modifier"):
                self._modifiers.update(modifiers)
            elif at == 0:
                pending.update(modifiers)
            else:
                return ""
            return "modifier"
        if _PREFIX.fullmatch(word) and (not self._strict or previous == "side"):
            before_view = at + 1 < len(self._words) and _WORD.fullmatch(self._words[at + 1].upper())
            if before_view or not self._strict:
                self._modifiers.update(_PREFIXES[letter] for letter in word)
                return "side" if before_view and previous == "side" else "modifier"
        return ""

    def _is_name(self, at: int) -> bool:
        """Return whether a word can be a short name: `at 3`, `5 cc` and `ml` are not."""
        if not self._strict:
            return True
        word = self._words[at]
        after = self._words[at + 1] if at + 1 < len(self._words) else ""
        before = self._words[at - 1] if at else ""
        if before.isdigit() or (word.upper() in _SHORT and after[:1].isdigit()):
            return False
        return word.isupper() or self._is_lower


def _split_suffixes(text: str) -> list[str]:
    return [_SHORT[short] for short in re.findall(_SUFFIX, text)]
