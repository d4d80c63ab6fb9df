"""What is recorded of a score in use: nothing that names a patient, an image or a file.

A sink takes events and never keeps the scoring waiting; `mammo_core.monitoring` has the one that
writes to a store, and watches what was written.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.imaging.plausibility import DISTRIBUTED
from mammo_core.scoring.images import DecodedImage
from mammo_core.scoring.units import ScoringUnit
from mammo_core.sources.identity.patients import content_key, site_key

#: Characters of a random token of an exam: 64 bits.
_TOKEN_LENGTH: Final = 16
#: Codes in an event at most.
_MOST_CODES: Final = 32

Probability = Annotated[float, Field(ge=0, le=1)]
_Word = Annotated[str, Field(max_length=64, pattern=r"^[ -~]*$")]


class ScoreEvent(BaseModel):
    """One image that was scored.

    Attributes:
        at: When, UTC, to the second: `2026-11-30T20:15:00Z`.
        model_id: Id of the model, or of several together.
        probability: Malignant probability, uncalibrated, [0, 1].
        calibrated: Calibrated probability, [0, 1]; None if there is none.
        decision: `positive`, `negative` or empty.
        no_decision: Code of the reason why there is none; empty if there is one.
        vendor: Manufacturer, as a name of our list.
        image_type: Kind of image, as in the table of images; empty if unknown.
        view_class: CC, MLO or empty.
        exam: Shows which events belong to one exam: a random token of the process that scored, or
            the key of the exam under the site key; empty if the exam is unknown.
        image: Digest of the file under the site key; empty unless ids are recorded.
        warnings: Codes of warnings, sorted.
        unlike: Measures that are unlike training images, sorted.
        gray: Measure of gray levels → value, for the first package.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    model_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    probability: Probability
    calibrated: Probability | None = None
    decision: _Word = ""
    no_decision: _Word = ""
    vendor: _Word = ""
    image_type: _Word = ""
    view_class: _Word = ""
    exam: _Word = ""
    image: _Word = ""
    warnings: tuple[_Word, ...] = Field(default=(), max_length=_MOST_CODES)
    unlike: tuple[_Word, ...] = Field(default=(), max_length=_MOST_CODES)
    gray: dict[_Word, float] = Field(default={}, max_length=_MOST_CODES)


class EventSink(Protocol):
    """Takes events; `add` returns at once and raises nothing."""

    def add(self, events: Sequence[ScoreEvent]) -> None:
        """Take events."""


class EventRecorder:
    """Makes events of scored images and hands them to sinks.

    Args:
        sinks: Take them.
        keyed: Whether events have the digest of the file and the key of the exam under the site
            key, so that labels can be joined later. Without it, an exam is a random token that
            nobody can compute again when the process has ended.

    Raises:
        SourceError: Ids are keyed, and there is no site key.
    """

    def __init__(self, sinks: Sequence[EventSink], keyed: bool = False) -> None:
        self._sinks = tuple(sinks)
        self._site_key = site_key() if keyed else b""
        self._salt = secrets.token_bytes(32)

    def record(
        self,
        model_id: str,
        unit: ScoringUnit,
        fields: Mapping[str, Any],
        warnings: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
    ) -> None:
        """Record the images of a unit that its score is based on.

        Args:
            model_id: Id of the model.
            unit: The unit.
            fields: The fields of its score, as `ScoringModel.score_fields` returns them.
            warnings: Digest → the warnings of the image.
        """
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        events = [
            ScoreEvent(
                at=now,
                model_id=model_id,
                probability=fields["malignant_probability"],
                calibrated=fields["calibrated_probability"],
                decision=fields["decision"],
                no_decision=fields["no_decision"],
                vendor=image.facts.manufacturer,
                image_type=image.facts.image_type or "",
                view_class=image.facts.view_class or "",
                exam=self._exam(image),
                image=self._image(image),
                warnings=_codes(item["code"] for item in (warnings or {}).get(image.digest, ())),
                unlike=_codes(item.measure for item in image.unlike),
                gray=_gray_levels(image),
            )
            for image in unit.images
            if image.pixels
        ]
        for sink in self._sinks:
            sink.add(events)

    def _exam(self, image: DecodedImage) -> str:
        known = image.exam or image.patient
        if not known or self._site_key:
            return known
        digest = hmac.new(self._salt, known.encode(), hashlib.sha256)
        return digest.hexdigest()[:_TOKEN_LENGTH]

    def _image(self, image: DecodedImage) -> str:
        if not self._site_key:
            return ""
        # A run with keyed ids has replaced the digest already.
        return image.digest if image.has_keyed_id else content_key(self._site_key, image.digest)


def _codes(codes: Any) -> tuple[str, ...]:
    return tuple(sorted(set(codes)))[:_MOST_CODES]


def _gray_levels(image: DecodedImage) -> dict[str, float]:
    if not image.measures:
        return {}
    return {name: float(getattr(image.measures[0], name)) for name in DISTRIBUTED}
