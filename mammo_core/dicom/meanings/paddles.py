"""Compression paddles, in words of our list: text of a header is never repeated."""

import re
from typing import Final

#: Word in Paddle Description (0018,11A4) → our word.
_WORDS: Final = {
    "spot": "spot",
    "mag": "magnification",
    "magn": "magnification",
    "magnification": "magnification",
    "biopsy": "biopsy",
    "stereotactic": "biopsy",
    "localization": "localization",
    "perforated": "localization",
    "fenestrated": "localization",
    "flex": "flexible",
    "fast": "flexible",
    "flexible": "flexible",
    "tilting": "flexible",
    "curved": "curved",
    "implant": "implant",
    "axilla": "axilla",
    "axillary": "axilla",
    "square": "square",
    "round": "round",
    "sliding": "sliding",
    "shift": "sliding",
    "small": "small",
    "large": "large",
    "screening": "screening",
    "contact": "contact",
    "full": "full field",
}
#: Sizes in cm or mm, such as 18x24, 24 x 30, 10cm.
_SIZE: Final = re.compile(r"(\d{1,3}(?:\.\d)?) ?[x*] ?(\d{1,3}(?:\.\d)?)|(\d{1,2}(?:\.\d)?) ?cm")


def read_paddle(text: str) -> str | None:
    """Return the words of our list that a paddle description contains, and sizes.

    Args:
        text: Paddle Description, which is never repeated.

    Returns:
        Words in their order, each once, such as `18x24 flexible`; None if there is none.
    """
    text = text.lower()
    words = [(match.start(), _size(match)) for match in _SIZE.finditer(text)]
    for match in re.finditer(r"[a-z]+", text):
        if word := _WORDS.get(match[0]):
            words.append((match.start(), word))
    return " ".join(dict.fromkeys(word for _, word in sorted(words))) or None


def _size(match: re.Match[str]) -> str:
    return f"{match[1]}x{match[2]}" if match[1] else f"{match[3]}cm"
