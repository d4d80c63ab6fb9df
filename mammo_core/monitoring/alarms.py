"""Alarms: what changed, when it was noticed, and how strong the evidence is."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["change", "training", "labels"]


class Alarm(BaseModel):
    """An alarm of a watch.

    Attributes:
        kind: `change`: a measure is no longer as in the first exams; `training`: too many images
            are outside the training images; `labels`: scores of a class, or the calibration, are
            no longer as they were.
        group: Vendor and kind of image; `labeled` for those with labels.
        measure: The measure.
        at: Time of the image that raised it (UTC).
        exams: Exams of the group that were compared until then.
        before: What it was before, in words.
        after: What it is now, in words.
        retrained: Whether the command for alarms has been run because of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    group: str
    measure: str
    at: str
    exams: int
    before: str
    after: str
    retrained: bool = False

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that stay the same."""
        text = "\0".join((self.kind, self.group, self.measure, self.at, str(self.exams)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def text(self) -> str:
        """The alarm in a line."""
        return (
            f"{self.group}: {self.measure}: {self.before} → {self.after}, noticed at {self.at} "
            f"after {self.exams} exams ({self.kind})"
        )
