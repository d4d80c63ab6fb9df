"""The units of scoring: one image, or the views of a breast, assembled from files."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from mammo_core.dicom import ImageFacts, ImageWarning, read_facts
from mammo_core.errors import DicomError, RecipeError, RecordError
from mammo_core.evaluation.aggregate import Unit
from mammo_core.models.config import VIEWS
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import DecodedImage, Reject, fill_from_name
from mammo_core.scoring.patients import ImageIdentity, PatientKeys
from mammo_core.sources.best_image import Candidate, Choice, choose_views

Pixels = npt.NDArray[np.uint16]
_HEADER_READERS = 8
_FILE_ERRORS = (DicomError, RecipeError, RecordError)


@dataclass(frozen=True)
class ScoringUnit:
    """The input of one prediction, and the images that get its probability.

    Attributes:
        images: One image; or all images of a breast. Those without pixels were not used.
        pixels: For every model `(H, W) uint16, [0, 65535]`; for a breast `(2, H, W)`: CC and MLO,
            all zeros for a missing view.
        further_pairs: Like `pixels`, for the other parts of a breast whose view exists in parts;
            the probability is the mean over all pairs.
        reasons: Digest → why an image was not used.
    """

    images: tuple[DecodedImage, ...]
    pixels: tuple[Pixels, ...]
    further_pairs: tuple[tuple[Pixels, ...], ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_breast(self) -> bool:
        """Whether the unit is a breast."""
        return self.pixels[0].ndim == 3

    @property
    def is_unlike(self) -> bool:
        """Whether the gray levels of an image that is used are unlike training images."""
        return any(image.unlike for image in self.images if image.pixels)

    def warnings(self, image: DecodedImage) -> list[ImageWarning]:
        """Return warnings about the views that the probability of an image is based on."""
        if not self.is_breast:
            return []
        used = {item.facts.view_class for item in self.images if item.pixels}
        missing = [name.upper() for name in VIEWS if name.upper() not in used]
        warnings = [
            ImageWarning(code="missing_view", message=f"scored without {name}: no such view")
            for name in missing
        ]
        if image.digest in self.reasons:
            message = f"not used for its breast: {self.reasons[image.digest]}"
            warnings.append(ImageWarning(code="not_used", message=message))
        return warnings

    def predictor_of_image(
        self,
        image: DecodedImage,
        predict: Callable[[Pixels], npt.NDArray[np.float32]],
        number: int = 0,
    ) -> Callable[[Pixels], npt.NDArray[np.float32]]:
        """Return a function that predicts this unit with other pixels for one of its images.

        Args:
            image: An image of this unit with pixels.
            predict: `Package.predict` of a model.
            number: Which model that is.

        Returns:
            A function of `(n, H, W) uint16, [0, 65535]` that returns `(n,) float32, [0, 1]`.
        """
        if not self.is_breast:
            return predict
        index = VIEWS.index(str(image.facts.view_class).lower())

        def predict_breast(changed: Pixels) -> npt.NDArray[np.float32]:
            breasts = np.repeat(self.pixels[number][np.newaxis], len(changed), axis=0)
            breasts[:, index] = changed
            # A fully occluded view must differ from a missing view.
            breasts[~changed.any(axis=(1, 2)), index, 0, 0] = 1
            return predict(breasts)

        return predict_breast


def group_files(
    files: Sequence[InputFile], unit: Unit, keys: PatientKeys, workers: int
) -> list[tuple[InputFile, ...]]:
    """Group files by unit; for breasts, only their headers are read.

    A breast is one side of a patient in an exam. (In a published collection it is one side of a
    patient, because there every image may be a study.) A file without patient and exam is a
    breast with one image.

    Args:
        files: Files in order.
        unit: The input of the models.
        keys: The keys of patients.
        workers: Threads that read.

    Returns:
        The groups, in the order of their first files.

    Raises:
        OSError: The disk failed.
        StoreError: The server failed.
    """
    if unit == "image":
        return [(file,) for file in files]
    # Reading headers from a bucket is mostly waiting.
    with ThreadPoolExecutor(max(workers, _HEADER_READERS), thread_name_prefix="headers") as pool:
        breasts = list(pool.map(lambda file: _breast_key(file, keys), files))
    groups: dict[object, list[InputFile]] = defaultdict(list)
    for number, (file, breast) in enumerate(zip(files, breasts, strict=True)):
        groups[number if breast is None else breast].append(file)
    # A breast with an additional file must be scored again by a resumed run.
    return [
        tuple(replace(file, version=f"{file.version} 1/{len(group)}") for file in group)
        for group in groups.values()
    ]


def build_unit(
    items: Iterable[DecodedImage | Reject], unit: Unit
) -> tuple[ScoringUnit | None, list[Reject]]:
    """Assemble the files of a group.

    If a view has several images, the best one is used, as in training (`sources.best_image`); the
    pixels of the others are released.

    Args:
        items: The files of one group, consumed one at a time.
        unit: The input of the models.

    Returns:
        The unit, or None if no file could be read; and the files that are not part of it.
    """
    images: list[DecodedImage] = []
    rejects: list[Reject] = []
    for item in items:
        reject = item if isinstance(item, Reject) else _reject_unusable(item, unit)
        if reject is not None:
            rejects.append(reject)
        elif isinstance(item, DecodedImage):
            images.append(item)
            if unit == "breast":
                images = _release_unused(images)
    if not images:
        return None, rejects
    if unit == "image":
        return ScoringUnit((images[0],), images[0].pixels), rejects
    views: list[list[DecodedImage | None]] = [
        [item for item in images if item.pixels and item.facts.view_class == name.upper()]
        for name in VIEWS
    ]
    pairs = [
        stack_views({name.upper(): item for name, item in zip(VIEWS, pair, strict=True) if item})
        for pair in product(*(items or [None] for items in views))
    ]
    reasons = {id: why for choice in _choices(images) for id, why in choice.reasons.items()}
    return ScoringUnit(tuple(images), pairs[0], tuple(pairs[1:]), reasons), rejects


def _release_unused(images: list[DecodedImage]) -> list[DecodedImage]:
    """Release the pixels of images that others are preferred to."""
    chosen = {id for choice in _choices(images) for id in choice.chosen}
    digests: set[str] = set()
    kept = []
    for image in images:
        used = image.digest in chosen and image.digest not in digests
        digests.add(image.digest)
        kept.append(image if used or not image.pixels else replace(image, pixels=()))
    return kept


def _choices(images: Sequence[DecodedImage]) -> Iterable[Choice]:
    order = {time: at for at, time in enumerate(sorted({image.acquired for image in images}))}
    by_digest = {image.digest: image for image in images}
    candidates = [
        Candidate(
            id=image.digest,
            view=image.facts.view or "",
            view_class=image.facts.view_class or "",
            view_modifiers=image.facts.view_modifiers,
            image_type=image.facts.image_type or "",
            partial_view=image.facts.partial_view,
            area_mm2=image.facts.area_mm2 or 0.0,
            acquisition_order=order[image.acquired],
        )
        for image in by_digest.values()
    ]
    return choose_views(("", candidate) for candidate in candidates).values()


def build_breast(images: Sequence[DecodedImage]) -> ScoringUnit:
    """Assemble images that a client sent as the views of one breast.

    Args:
        images: At most one image per view; the laterality may be unknown.

    Raises:
        RecordError: A view is unknown or repeated, the sides, patients or exams differ, or an
            image is black.
    """
    views = [image.facts.view_class for image in images]
    sides = {image.facts.laterality for image in images} - {None}
    if not views or None in views or len(set(views)) < len(views) or len(sides) > 1:
        raise RecordError(
            "These are not the views of one breast",
            expected="one image, or a CC and an MLO image of one side",
            received=", ".join(
                f"view {image.facts.view or 'unknown'}, "
                f"laterality {image.facts.laterality or 'unknown'}"
                for image in images
            )
            or "no image",
        )
    for name in ("patient", "exam"):
        keys = {getattr(image, name) for image in images} - {""}
        if len(keys) > 1:
            raise RecordError(
                "These are not the views of one breast",
                expected=f"images of one {name}",
                received=f"images of {len(keys)} {name}s",
            )
    for image in images:
        _require_not_black(image)
    views_of_breast = {str(image.facts.view_class): image for image in images}
    return ScoringUnit(tuple(images), stack_views(views_of_breast))


def stack_views(views: Mapping[str, DecodedImage]) -> tuple[Pixels, ...]:
    """Stack the views of a breast.

    Args:
        views: CC, MLO or both.

    Returns:
        For every model `(2, H, W) uint16, [0, 65535]`, zeros for a missing view.
    """
    models = range(len(next(iter(views.values())).pixels))
    stacks = []
    for model in models:
        pixels = [
            views[name.upper()].pixels[model] if name.upper() in views else None for name in VIEWS
        ]
        blank = np.zeros_like(next(view for view in pixels if view is not None))
        stacks.append(np.stack([blank if view is None else view for view in pixels]))
    return tuple(stacks)


def _require_not_black(image: DecodedImage) -> None:
    if not all(pixels.any() for pixels in image.pixels):
        raise RecordError(
            f"{image.name} cannot be scored as a view of a breast",
            expected="a mammogram (all zeros represent a missing view)",
            received="an image that is completely black",
        )


def _reject_unusable(image: DecodedImage, unit: Unit) -> Reject | None:
    """Return a reject if an image cannot be used as a view of a breast."""
    if unit == "image":
        return None
    facts = image.facts
    try:
        if facts.view_class is None or facts.laterality is None:
            raise RecordError(
                f"{image.name} cannot be assigned to a breast",
                expected="a laterality, and a view that counts as CC or MLO, in the header or the "
                "file name",
                received=f"laterality {facts.laterality or 'unknown'}, "
                f"view {facts.view or 'unknown'}",
            )
        _require_not_black(image)
    except RecordError as error:
        return Reject(image.name, error)
    return None


def _breast_key(file: InputFile, keys: PatientKeys) -> tuple[str, str, str] | None:
    """Return patient, exam and laterality; None if the breast is unknown."""
    facts, identity = _read_facts_and_identity(file, keys, complete=False)
    if facts is None and file.source is not None:  # the header may be longer than the start
        facts, identity = _read_facts_and_identity(file, keys, complete=True)
    known = identity.patient or identity.exam
    if facts is None or facts.laterality is None or facts.view is None or not known:
        return None
    return identity.patient, identity.exam, facts.laterality


def _read_facts_and_identity(
    file: InputFile, keys: PatientKeys, complete: bool
) -> tuple[ImageFacts | None, ImageIdentity]:
    with file.as_local_file() if complete else file.as_local_header() as path:
        try:
            # Whether a model accepts raw data and JPEG is checked when the pixels are read.
            facts = read_facts(path, file.name, for_processing=True, lossy_jpeg=True)
        except _FILE_ERRORS:
            return None, ImageIdentity()
        return fill_from_name(facts, file.name, path), keys.identify(path, file.name)
