"""Labels from BI-RADS assessment categories: which ones count as malignant is a setting."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from mammo_core.sources.identity.cases import UNKNOWN_LABEL

#: BI-RADS assessment categories (ACR BI-RADS 2013).
Category = Literal["0", "1", "2", "3", "4", "5", "6"]
#: Categories by concern: of several findings of a breast, the first in this order counts.
_CONCERN: Final = (6, 5, 4, 0, 3, 2, 1)


class BiRadsLabels(BaseModel):
    """Which BI-RADS categories make a label.

    The others make none: 0 is unfinished, 3 awaits a later exam, and 6 was known before.

    Args:
        negative: Categories that make an image negative.
        positive: Categories that make an image malignant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    negative: tuple[Category, ...] = ("1", "2")
    positive: tuple[Category, ...] = ("4", "5")

    @model_validator(mode="after")
    def _require_one_meaning_each(self) -> Self:
        if set(self.negative) & set(self.positive):
            raise ValueError("a BI-RADS category is negative or positive, and only one of these")
        return self

    def label(self, category: int | None) -> int:
        """Return 1, 0, or UNKNOWN_LABEL.

        Args:
            category: 0 to 6, or None where it is unknown.
        """
        if category is None:
            return UNKNOWN_LABEL
        name = str(category)
        return 1 if name in self.positive else 0 if name in self.negative else UNKNOWN_LABEL


def most_concerning(categories: list[int]) -> int | None:
    """Return the category of a breast with several findings: 6, 5, 4, 0, 3, 2, 1 in this order.

    Args:
        categories: Those of its findings.
    """
    return min(categories, key=_CONCERN.index, default=None)


def read_category(text: str) -> int | None:
    """Return the category that a cell states, or None.

    Args:
        text: `BI-RADS 4`, `4`, `4.0`, `4A` or nothing.
    """
    word = text.upper().replace("BI-RADS", "").replace("BIRADS", "").strip(" _:-")
    word = word.removesuffix(".0")
    if word[:1] == "4" and word[1:] in ("A", "B", "C"):
        word = "4"
    return int(word) if word in map(str, range(7)) else None


def read_density(text: str) -> int | None:
    """Return breast density 1 to 4 of a cell, 0 for an empty one, None for any other.

    Args:
        text: `DENSITY C`, `C`, `3`, `3.0`, `nan` or nothing.
    """
    word = text.upper().replace("DENSITY", "").strip(" _:-").removesuffix(".0")
    if word in ("", "NAN", "NONE"):
        return 0
    return {"A": 1, "B": 2, "C": 3, "D": 4, "1": 1, "2": 2, "3": 3, "4": 4}.get(word)
