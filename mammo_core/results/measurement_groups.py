"""The measurement groups of TID 1500: scores of the exam, breasts and images, and findings."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    ImageRegion,
    Measurement,
    MeasurementProperties,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from mammo_core.dicom.headers.study_header import StudyHeader
from mammo_core.results.codes import OURS, SCHEME, ascii_text, concept, ours, side
from mammo_core.results.exam_record import (
    ExamRecord,
    ImageRecord,
    ModelRecord,
    RegionRecord,
    ScoreRecord,
)
from mammo_core.results.identifiers import derived_uid
from mammo_core.results.object_header import MANUFACTURER, RESEARCH_USE

#: Concept → its code for the ends of a range (PS3.16 TID 310).
_ABOVE: Final = ("371886008", "+, range of upper measurement uncertainty")
_BELOW: Final = ("371885007", "-, range of lower measurement uncertainty")


def measurement_groups(record: ExamRecord, headers: Mapping[str, StudyHeader]) -> list[Any]:
    """Return the groups of an exam, from the exam to its findings.

    Args:
        record: The record.
        headers: Id of each image → its header.
    """
    return list(_Groups(record, headers).all())


class _Groups:
    def __init__(self, record: ExamRecord, headers: Mapping[str, StudyHeader]) -> None:
        self._record, self._headers = record, headers
        self._algorithm = AlgorithmIdentification(
            name=ascii_text(f"{record.model_name}, {RESEARCH_USE}"),
            version=ascii_text(" + ".join(model.version or "none" for model in record.models)),
            manufacturer=MANUFACTURER,
            parameters=[
                ascii_text(f"{model.name}: {setting}")
                for model in record.models
                for setting in _settings(model)
            ],
        )

    def all(self) -> Iterator[Any]:
        record = self._record
        if record.exam is not None:
            yield self._scores("exam", "exam", record.exam, record.images, "")
        for laterality, score in record.breasts.items():
            images = tuple(image for image in record.images if image.laterality == laterality)
            yield self._scores(f"{laterality} breast", laterality, score, images, laterality)
        for number, image in enumerate(record.images, start=1):
            if record.unit == "image":
                name = f"image {number} {image.laterality} {image.view}".strip()
                yield self._scores(name, image.id, image.score, (image,), image.laterality)
            for region in image.regions:
                yield self._region(f"finding {region.rank} of image {number}", image, region)

    def _scores(
        self,
        name: str,
        key: str,
        score: ScoreRecord,
        images: tuple[ImageRecord, ...],
        laterality: str,
    ) -> MeasurementsAndQualitativeEvaluations:
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracked(name, "scores", key),
            algorithm_id=self._algorithm,
            finding_sites=[_breast(laterality)],
            measurements=_probabilities(score),
            qualitative_evaluations=[*_decision(score), *_cautions(images)],
            source_images=[
                SourceImageForMeasurementGroup(header.class_uid, header.instance_uid)
                for header in (self._headers[image.id] for image in images if image.is_used)
            ],
        )

    def _region(
        self, name: str, image: ImageRecord, region: RegionRecord
    ) -> PlanarROIMeasurementsAndQualitativeEvaluations:
        header = self._headers[image.id]
        # PS3.3 C.18.6.1: column and row, 0 at the corner of the first pixel, not at its center.
        points = np.asarray(region.outline)[:, ::-1] + 0.5
        heats = [
            Measurement(name=ours(code), value=round(value, 6), unit=codes.UCUM.NoUnits)
            for code, value in (("HEAT-PEAK", region.peak), ("HEAT-MEAN", region.mean))
        ]
        if image.spacing_mm is not None:
            area = round(_area(points) * image.spacing_mm**2, 2)
            heats.append(
                Measurement(name=codes.SCT.Area, value=area, unit=codes.UCUM.SquareMillimeter)
            )
        return PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracked(name, "finding", image.id, region.rank),
            referenced_region=ImageRegion(
                graphic_type="POLYLINE",
                graphic_data=points,
                source_image=SourceImageForRegion(header.class_uid, header.instance_uid),
            ),
            finding_type=codes.DCM.SelectedRegion,
            method=ours(region.kind),
            algorithm_id=self._algorithm,
            finding_sites=[_breast(image.laterality)],
            measurements=heats,
        )

    def _tracked(self, name: str, *key: object) -> TrackingIdentifier:
        return TrackingIdentifier(
            uid=derived_uid("tracking", self._record.digest, *key), identifier=name
        )


def _settings(model: ModelRecord) -> tuple[str, ...]:
    return f"model id {model.model_id}", f"weight {model.weight:g}", *model.settings


def _breast(laterality: str) -> FindingSite:
    return FindingSite(codes.SCT.Breast, laterality=side(laterality))


def _probabilities(score: ScoreRecord) -> list[Measurement]:
    measurements = [
        Measurement(name=ours("SCORE"), value=round(score.probability, 6), unit=codes.UCUM.NoUnits)
    ]
    if score.calibrated is not None:
        measurements.append(
            Measurement(
                name=codes.DCM.ProbabilityOfCancer,
                value=_percent(score.calibrated),
                unit=codes.UCUM.Percent,
                properties=_range(score),
            )
        )
    return measurements


def _range(score: ScoreRecord) -> MeasurementProperties | None:
    """Return the range over the models, as distances from the mean in its unit."""
    if score.calibrated is None or score.lowest is None or score.highest is None:
        return None
    properties = MeasurementProperties()
    for (code, meaning), distance in (
        (_ABOVE, score.highest - score.calibrated),
        (_BELOW, score.calibrated - score.lowest),
    ):
        properties.append(
            NumContentItem(
                name=concept(code, "SCT", meaning),
                value=_percent(max(0.0, distance)),
                unit=codes.UCUM.Percent,
                relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
            )
        )
    return properties


def _percent(share: float) -> float:
    return round(100 * share, 4)


def _decision(score: ScoreRecord) -> Iterator[QualitativeEvaluation]:
    if score.decision:
        value = codes.SCT.Positive if score.decision == "positive" else codes.SCT.Negative
        yield QualitativeEvaluation(ours("DECISION"), value)
    elif score.no_decision:
        reason = score.no_decision
        yield QualitativeEvaluation(
            ours("NO-DECISION"), concept(reason, SCHEME, OURS.get(reason, reason))
        )
    if score.triage:
        yield QualitativeEvaluation(ours("TRIAGE"), ours(score.triage))


def _cautions(images: tuple[ImageRecord, ...]) -> Iterator[QualitativeEvaluation]:
    if any(image.is_unlike for image in images):
        yield QualitativeEvaluation(ours("GRAY-LEVELS"), ours("UNLIKE"))
    for code, message in dict.fromkeys(one for image in images for one in image.warnings):
        yield QualitativeEvaluation(ours("WARNING"), concept(code, SCHEME, message))


def _area(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Return the area of a closed polygon, in squares of its unit (shoelace formula)."""
    x, y = points[:, 0], points[:, 1]
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2
