"""From a file to the pixels that networks take, and its facts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mammo_core.dicom import (
    ImageFacts,
    ImageWarning,
    Mammogram,
    parse_laterality,
    read_image,
)
from mammo_core.errors import DicomError, MammoError, RecipeError, RecordError
from mammo_core.imaging import GrayMeasures, measure_gray_levels
from mammo_core.preprocessing import Preprocessing
from mammo_core.scoring.files import InputFile, StatedView
from mammo_core.scoring.gray_levels import GrayLevels, UnlikeTraining, find_unlike
from mammo_core.scoring.patients import ImageIdentity, PatientKeys, read_published_name
from mammo_core.scoring.source_map import SourceMap
from mammo_core.sources.auditing.gray_levels import chest_wall_warnings
from mammo_core.sources.auditing.policy import ImagePolicy, Verdict, judge
from mammo_core.sources.identity.names import header_views_of, read_name


@dataclass(frozen=True)
class DecodedImage:
    """An image that was read and prepared for the models.

    Attributes:
        digest: SHA-256 of the file (hex).
        name: Name of the file.
        facts: The facts of its header; laterality and view from its name if the header has none,
            and the view class of the model's policy.
        patient: Key of the patient; empty if unknown.
        pixels: For every model `(H, W) uint16, [0, 65535]`, in the geometry of the model.
        exam: Key of the exam; empty if unknown.
        acquired: Sorts the images of an exam; it is never written.
        warnings: What the header says, and what the policy of the model warns of.
        unlike: How its gray levels differ from those of training images.
        maps: For every model, where these pixels are in the file.
        measures: For every model, the gray levels of the file as that model reads it.
        has_keyed_id: Whether `digest` is that of the file under the site key.
        location: Where the file is (`InputFile.location`).
    """

    digest: str
    name: str
    facts: ImageFacts
    patient: str
    pixels: tuple[npt.NDArray[np.uint16], ...]
    exam: str = ""
    acquired: tuple[str, int] = field(default=("", 0), repr=False)
    warnings: tuple[ImageWarning, ...] = ()
    unlike: tuple[UnlikeTraining, ...] = ()
    maps: tuple[SourceMap, ...] = ()
    measures: tuple[GrayMeasures, ...] = ()
    has_keyed_id: bool = False
    location: str = field(default="", repr=False)


@dataclass(frozen=True)
class PolicyRule:
    """Which images are scored, and which get no decision.

    Attributes:
        policies: The policies of the models; the strictest one decides. A view counts as what
            all of them say, otherwise as nothing.
        on_request: Whether images are scored that a policy scores on request only.
        gray_levels: For each model the gray levels of its training images; empty if unknown.
    """

    policies: tuple[ImagePolicy, ...]
    on_request: bool = False
    gray_levels: tuple[GrayLevels, ...] = ()

    def unlike(self, measures: Sequence[GrayMeasures]) -> tuple[UnlikeTraining, ...]:
        """Return how an image differs from the training images.

        Args:
            measures: For each model the measures of the image, as that model reads it.
        """
        return find_unlike(measures, self.gray_levels or ({},) * len(measures))

    def apply(self, facts: ImageFacts, name: str) -> tuple[ImageFacts, tuple[ImageWarning, ...]]:
        """Return the facts with the view class of the policy, and what it warns of.

        Args:
            facts: What the image is.
            name: Name of the file, for messages.

        Raises:
            RecordError: The image is not scored; the message names the cause.
        """
        verdicts = [judge(facts, policy) for policy in self.policies]
        for verdict in verdicts:
            if verdict.action == "reject":
                raise _policy_error(name, verdict, None)
        for verdict in verdicts:
            if verdict.action == "on_request" and not self.on_request:
                raise _policy_error(name, verdict, "Score it on request: --on-request")
        causes = dict.fromkeys(
            ImageWarning(code=cause.code, message=cause.message)
            for verdict in verdicts
            for cause in verdict.causes
        )
        classes = {policy.view_class(facts.view) or None for policy in self.policies}
        view_class = classes.pop() if len(classes) == 1 else None
        return facts.model_copy(update={"view_class": view_class}), tuple(causes)


def _policy_error(name: str, verdict: Verdict, hint: str | None) -> RecordError:
    return RecordError(
        f"{name} is not scored by the model's policy of images",
        expected="an image that the policy accepts",
        received=f"{verdict.action}: {verdict.reason}",
        hint=hint,
    )


@dataclass(frozen=True)
class Reject:
    """A file that cannot be scored, and the reason."""

    name: str
    error: MammoError

    @property
    def reason(self) -> str:
        """The reason as text."""
        return str(self.error)


def decode_file(
    file: InputFile,
    models: Sequence[Preprocessing],
    patients: PatientKeys | None,
    rule: PolicyRule,
) -> DecodedImage | Reject:
    """Read a file and prepare its pixels for some models.

    A fault of the file gives a reject; a failing disk or server raises.

    Args:
        file: The file.
        models: The preprocessing of every model.
        patients: The keys of patients; None if they are not needed.
        rule: Which images are scored.

    Raises:
        OSError: The disk failed.
        StoreError: The server failed.
    """
    with file.as_local_file() as path:
        try:
            decoded = _decode(path, file, models, rule)
            facts, warnings = rule.apply(decoded.facts, file.name)
            unlike = rule.unlike(decoded.measures)
        except (DicomError, RecipeError, RecordError) as error:
            return Reject(file.name, error)
        identity = patients.identify(path, file.name) if patients is not None else ImageIdentity()
    return DecodedImage(
        decoded.digest,
        file.name,
        facts,
        identity.patient,
        tuple(decoded.pixels),
        exam=identity.exam,
        acquired=identity.acquired,
        warnings=tuple(dict.fromkeys((*facts.warnings, *warnings))),
        unlike=unlike,
        maps=tuple(decoded.maps),
        measures=tuple(decoded.measures),
        location=file.location,
    )


@dataclass(frozen=True)
class _Decoded:
    """What a file holds, as each model reads it."""

    digest: str
    facts: ImageFacts
    pixels: list[npt.NDArray[np.uint16]]
    measures: list[GrayMeasures]
    maps: list[SourceMap]


def _decode(
    path: Path, file: InputFile, models: Sequence[Preprocessing], rule: PolicyRule
) -> _Decoded:
    digest, name = "", file.name
    by_options: dict[tuple[bool, ...], tuple[Mammogram, GrayMeasures]] = {}
    pixels, measures, maps = [], [], []
    warnings: list[ImageWarning] = []

    def known_facts(header: ImageFacts) -> ImageFacts:
        facts = fill_from_name(header, name, path)
        return _as_stated(facts, file.stated) if file.stated is not None else facts

    for model in models:
        conversion = model.conversion
        options = (conversion.voi, conversion.for_processing, conversion.lossy_jpeg)
        if options not in by_options:
            read = read_image(
                path,
                name,
                mammogram=True,
                # What the policy rejects is not decoded.
                require=lambda header: rule.apply(known_facts(header), name),
                voi=options[0],
                for_processing=options[1],
                lossy_jpeg=options[2],
                hash_file=not digest,
            )
            digest = digest or read.sha256 or ""
            by_options[options] = read, measure_gray_levels(read.pixels, read.facts.bits_stored)
        mammogram, measured = by_options[options]
        measures.append(measured)
        facts = known_facts(mammogram.facts)
        laterality = facts.laterality or ""
        full, placement = model.conversion.apply(mammogram.pixels, facts.bits_stored, laterality)
        pixels.append(model.to_geometry(full))
        rows, columns = mammogram.pixels.shape
        maps.append(SourceMap(rows, columns, placement, model.geometry))
        warnings += chest_wall_warnings(facts, measured, laterality, model.conversion)
        warnings += [ImageWarning(code=code, message=text) for code, text in placement.notes]
    update = {"warnings": (*facts.warnings, *dict.fromkeys(warnings))}
    return _Decoded(digest, facts.model_copy(update=update), pixels, measures, maps)


def _as_stated(facts: ImageFacts, stated: StatedView) -> ImageFacts:
    view = stated.view or facts.view
    modifiers = stated.view_modifiers or facts.view_modifiers
    laterality = parse_laterality(stated.laterality) or facts.laterality
    return facts.with_view(view, laterality).model_copy(update={"view_modifiers": modifiers})


def fill_from_name(facts: ImageFacts, name: str, path: Path) -> ImageFacts:
    """Fill in laterality and view from the name of the file if the header has none.

    In DICOM files of CBIS-DDSM, the Patient ID is this name.

    Args:
        facts: The facts of the header.
        name: Name of the file, such as `Calc-Test_P_00041_LEFT_CC.png`.
        path: The file, or the start of it.
    """
    view = header_views_of(name).get(facts.view or "", facts.view)
    modifiers = facts.view_modifiers
    laterality = facts.laterality
    if laterality is None or (view is None and not modifiers):
        named = read_name(name) or read_published_name(path)
        if named is not None:
            laterality = laterality or parse_laterality(named.laterality)
            if view is None and not modifiers:
                view, modifiers = named.view, named.view_modifiers
    if (laterality, view, modifiers) == (facts.laterality, facts.view, facts.view_modifiers):
        return facts
    return facts.with_view(view, laterality).model_copy(update={"view_modifiers": modifiers})
