"""The score record of an exam: all that its DICOM objects say, and nothing of the patient."""

import datetime
import hashlib
from functools import cached_property
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mammo_core.evaluation.aggregate import Unit

#: Raised by hand when the objects of a record change: they get other UIDs then.
REVISION: Final = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelRecord(_Record):
    """A model that scored.

    Attributes:
        name: Its name.
        version: Its version in the registry; empty for a package that was never pushed.
        model_id: Its content hash (hex).
        weight: Its weight in the mean.
        settings: How it was applied and how it did on its validation set, in sentences.
    """

    name: str
    version: str
    model_id: str
    weight: float
    settings: tuple[str, ...] = ()


class ScoreRecord(_Record):
    """A score.

    Attributes:
        probability: Malignant probability, [0, 1], uncalibrated.
        calibrated: [0, 1]; None if there is none.
        lowest: Lowest calibrated probability of the models; None for one model.
        highest: Highest one.
        decision: `positive`, `negative` or empty.
        no_decision: Why there is no decision (docs/scoring.md lists the codes), or empty.
        triage: `low`, `unsure` or `high`, by the site that accepted the model; empty without one.
    """

    probability: float
    calibrated: float | None = None
    lowest: float | None = None
    highest: float | None = None
    decision: str = ""
    no_decision: str = ""
    triage: str = ""


class RegionRecord(_Record):
    """A finding: a region of the heatmap.

    Attributes:
        rank: 1 is the hottest.
        kind: How the heatmap was computed.
        peak: Highest heat, [0, 1].
        mean: Mean heat, [0, 1].
        outline: A closed polygon: row and column in pixel indices of the file.
    """

    rank: int
    kind: str
    peak: float
    mean: float
    outline: tuple[tuple[float, float], ...] = Field(min_length=4)


class ImageRecord(_Record):
    """A scored image.

    Attributes:
        id: Its id in the table of scores.
        laterality: LEFT or RIGHT; empty if unknown.
        view: Short name of the view; empty if unknown.
        spacing_mm: Distance of pixel centers; None if unknown.
        is_used: Whether the score is based on it: a breast is scored from one image of each view.
        is_unlike: Whether its gray levels are unlike those of training images.
        warnings: Code and sentence of each.
        score: Its score; in exams of models of both views that of its breast.
        regions: The findings, hottest first.
    """

    id: str
    laterality: str
    view: str
    spacing_mm: float | None
    is_used: bool
    is_unlike: bool
    warnings: tuple[tuple[str, str], ...]
    score: ScoreRecord
    regions: tuple[RegionRecord, ...] = ()


class ExamRecord(_Record):
    """The score record of an exam. The same record gives the same bytes.

    Attributes:
        began: When it was scored: ISO 8601 with an offset.
        unit: The input of the models.
        models: The models, as they are ordered everywhere.
        images: The images.
        breasts: LEFT or RIGHT → the score of the breast.
        exam: The score of the patient at this exam; None if her laterality is unknown.
        revision: The revision of the objects.
    """

    began: str
    unit: Unit
    models: tuple[ModelRecord, ...] = Field(min_length=1)
    images: tuple[ImageRecord, ...] = Field(min_length=1)
    breasts: dict[str, ScoreRecord] = {}
    exam: ScoreRecord | None = None
    revision: int = REVISION

    @field_validator("began")
    @classmethod
    def _has_offset(cls, value: str) -> str:
        if datetime.datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("a time without an offset")
        return value

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the record (hex): what was scored, by which models, when, and the scores."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def model_name(self) -> str:
        """The names of the models."""
        return " + ".join(model.name for model in self.models)
