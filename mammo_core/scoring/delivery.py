"""What a scoring run hands on to who makes other results of it than tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mammo_core.scoring.files import InputFile
from mammo_core.scoring.journal import Journal
from mammo_core.scoring.levels import number_patients
from mammo_core.scoring.model import ScoringModel


@dataclass(frozen=True)
class ScoredImage:
    """A scored image.

    Attributes:
        row: Its row of the scores, its `scores` by each package, and the `location` of its file.
        regions: Its regions, hottest first, with their `outline` if those were requested.
    """

    row: dict[str, Any]
    regions: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Delivery:
    """All images that a run scored.

    Attributes:
        model: The model.
        files: All files of the run.
        journal: The completed journal.
        numbered: Whether keys of patients and exams are replaced by numbers, as in the tables.
    """

    model: ScoringModel
    files: tuple[InputFile, ...]
    journal: Journal
    numbered: bool

    @property
    def began(self) -> str:
        """When the run began: ISO 8601 with an offset."""
        return self.journal.began()

    def images(self) -> Iterator[ScoredImage]:
        """Yield the scored images in order; memory does not depend on their number."""
        numbers: dict[str, dict[str, str]] = {}
        for batch in self.journal.batches():
            rows = batch["rows"]
            for row in number_patients(rows, numbers) if self.numbered else rows:
                regions = (one for one in batch["regions"] if one.get("location"))
                yield ScoredImage(
                    row, tuple(one for one in regions if one["location"] == row["location"])
                )
