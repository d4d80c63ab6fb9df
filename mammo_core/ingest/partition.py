"""One of several processes that divide the work of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mammo_core.errors import RecipeError

_Item = TypeVar("_Item")


def partition_names(count: int) -> list[str]:
    """Return the partitions of a number, each `i/n`."""
    return [f"{index}/{count}" for index in range(count)]


@dataclass(frozen=True)
class Partition:
    """Every `count`-th item of a plan, starting with item `index`.

    Partitions are disjoint, and together they are the whole plan.

    Attributes:
        index: Number of this partition, from 0.
        count: Number of partitions.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Partition":
        """Parse `I/N`.

        Raises:
            RecipeError: The text has another form, or I is not below N.
        """
        index, _, count = text.partition("/")
        if index.isdecimal() and count.isdecimal() and int(index) < int(count):
            return cls(int(index), int(count))
        raise RecipeError(
            "The partition is not valid",
            expected="I/N with I from 0 to N - 1, for instance 0/4",
            received=repr(text),
        )

    def select(self, items: Sequence[_Item]) -> list[_Item]:
        """Return the items of this partition, in their order."""
        return list(items[self.index :: self.count])

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
