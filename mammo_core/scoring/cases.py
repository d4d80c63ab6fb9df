"""What a network sees at once: one image, or the views of a breast, put together from files."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mammo_core.dicom import ImageFacts, read_facts
from mammo_core.errors import DicomError, RecipeError, RecordError
from mammo_core.evaluation.aggregate import Unit
from mammo_core.models.config import VIEWS
from mammo_core.scoring.files import FoundFile
from mammo_core.scoring.images import Image, Reject, with_name
from mammo_core.scoring.patients import PatientKeys

Pixels = npt.NDArray[np.uint16]
_READERS = 8
_FAULTS = (DicomError, RecipeError, RecordError)


@dataclass(frozen=True)
class Case:
    """What a network sees at once, and the images that its probability is of.

    Attributes:
        images: One; or all images of a breast, those without pixels were not seen.
        pixels: For every model `(H, W) uint16, [0, 65535]`; of a breast `(2, H, W)`: CC and MLO,
            all zeros where a view is missing.
    """

    images: tuple[Image, ...]
    pixels: tuple[Pixels, ...]

    def warnings(self, image: Image) -> list[str]:
        """Say of an image of a breast what its probability was not made of."""
        if self.pixels[0].ndim == 2:
            return []
        seen = {one.facts.view: one.digest for one in self.images if one.pixels}
        view = image.facts.view
        missing = [name.upper() for name in VIEWS if name.upper() not in seen]
        found = [f"scored without {name}: there is none" for name in missing]
        if seen.get(view) != image.digest:
            found.append(f"not seen: another {view} image of this breast was taken")
        return found

    def hiding(
        self, image: Image, predict: Callable[[Pixels], npt.NDArray[np.float32]]
    ) -> Callable[[Pixels], npt.NDArray[np.float32]]:
        """Return what gives the probability of this case when one image of it is changed.

        Args:
            image: Of this case, seen by the network.
            predict: `Package.predict` of the first model.
        """
        if self.pixels[0].ndim == 2:
            return predict
        place = VIEWS.index(str(image.facts.view).lower())

        def predicted(changed: Pixels) -> npt.NDArray[np.float32]:
            breasts = np.repeat(self.pixels[0][np.newaxis], len(changed), axis=0)
            breasts[:, place] = changed
            # Nothing left to see is not the same as a view that was not taken.
            breasts[~changed.any(axis=(1, 2)), place, 0, 0] = 1
            return predict(breasts)

        return predicted


def grouped(
    files: Sequence[FoundFile], unit: Unit, keys: PatientKeys, workers: int
) -> list[tuple[FoundFile, ...]]:
    """Group files by what is seen at once; of breasts only their headers are read.

    A breast is a side of a patient in a study (of a published data set: of a patient, as there
    a study may be one image). Files that tell neither patient nor study are breasts of one
    image.

    Args:
        files: In order.
        unit: What the models see at once.
        keys: Of the patients.
        workers: Threads that read.

    Returns:
        The groups in the order of their first files.

    Raises:
        OSError: The disk failed.
        StoreError: The server failed.
    """
    if unit == "image":
        return [(file,) for file in files]
    # Headers of a bucket are mostly waited for.
    with ThreadPoolExecutor(max(workers, _READERS), thread_name_prefix="headers") as pool:
        found = list(pool.map(lambda file: _breast_of(file, keys), files))
    groups: dict[object, list[FoundFile]] = defaultdict(list)
    for number, (file, breast) in enumerate(zip(files, found, strict=True)):
        groups[number if breast is None else breast].append(file)
    # A breast that got another file is not the one that a stopped scoring may have done.
    return [
        tuple(replace(file, version=f"{file.version} 1/{len(group)}") for file in group)
        for group in groups.values()
    ]


def gathered(items: Iterable[Image | Reject], unit: Unit) -> tuple[Case | None, list[Reject]]:
    """Put what was read of a group of files together.

    Of several images of a view the one with the first id is seen, as in training; the pixels of
    the others are let go.

    Args:
        items: Of one group, taken one after the other.
        unit: What the models see at once.

    Returns:
        The case, or None where no file could be read, and the files that are in none.
    """
    images: list[Image] = []
    rejects: list[Reject] = []
    seen: dict[str, int] = {}
    for item in items:
        reject = item if isinstance(item, Reject) else _refused(item, unit)
        if reject is not None:
            rejects.append(reject)
        elif isinstance(item, Image):
            view = str(item.facts.view)
            before = seen.get(view)
            if before is not None and images[before].digest <= item.digest:
                images.append(replace(item, pixels=()))
                continue
            if before is not None:
                images[before] = replace(images[before], pixels=())
            seen[view] = len(images)
            images.append(item)
    if not images:
        return None, rejects
    if unit == "image":
        return Case((images[0],), images[0].pixels), rejects
    return Case(tuple(images), pair({view: images[at] for view, at in seen.items()})), rejects


def pair(views: Mapping[str, Image]) -> tuple[Pixels, ...]:
    """Put the views of a breast together.

    Args:
        views: CC, MLO or both.

    Returns:
        For every model `(2, H, W) uint16, [0, 65535]`, zeros for a missing view.
    """
    models = range(len(next(iter(views.values())).pixels))
    pairs = []
    for model in models:
        given = [
            views[name.upper()].pixels[model] if name.upper() in views else None for name in VIEWS
        ]
        blank = np.zeros_like(next(one for one in given if one is not None))
        pairs.append(np.stack([blank if one is None else one for one in given]))
    return tuple(pairs)


def breast(images: Sequence[Image]) -> Case:
    """Put images together that are said to be the views of one breast.

    Args:
        images: One of each view at most; the side need not be known.

    Raises:
        RecordError: A view is unknown or there twice, the sides differ, or one is black.
    """
    views = [image.facts.view for image in images]
    sides = {image.facts.laterality for image in images} - {None}
    if not views or None in views or len(set(views)) < len(views) or len(sides) > 1:
        raise RecordError(
            "These are not the views of one breast",
            expected="one image, or two of one side, of the views CC and MLO",
            received=", ".join(
                f"view {image.facts.view or 'unknown'}, side {image.facts.laterality or 'unknown'}"
                for image in images
            )
            or "no image",
        )
    for image in images:
        _not_black(image)
    return Case(tuple(images), pair({str(image.facts.view): image for image in images}))


def _not_black(image: Image) -> None:
    if not all(pixels.any() for pixels in image.pixels):
        raise RecordError(
            f"{image.name} cannot be scored as a view of a breast",
            expected="a mammogram: zeros mean that a view was not taken",
            received="an image that is black all over",
        )


def _refused(image: Image, unit: Unit) -> Reject | None:
    """Say why an image cannot be seen as a view of a breast."""
    if unit == "image":
        return None
    facts = image.facts
    try:
        if facts.view is None or facts.laterality is None:
            raise RecordError(
                f"{image.name} is of no breast that this model can score",
                expected="a side, and a view CC or MLO, in the header or the name of the file",
                received=f"side {facts.laterality or 'unknown'}, view {facts.view or 'unknown'}",
            )
        _not_black(image)
    except RecordError as error:
        return Reject(image.name, error)
    return None


def _breast_of(file: FoundFile, keys: PatientKeys) -> tuple[str, str] | None:
    """Return the key of study and side; None where a file is of no known breast."""
    facts, exam = _told(file, keys, whole=False)
    if facts is None and file.source is not None:  # the header may be longer than a beginning
        facts, exam = _told(file, keys, whole=True)
    if facts is None or facts.laterality is None or facts.view is None or not exam:
        return None
    return exam, facts.laterality


def _told(file: FoundFile, keys: PatientKeys, whole: bool) -> tuple[ImageFacts | None, str]:
    with file.as_local_file() if whole else file.as_local_header() as path:
        try:
            # What a model takes of raw data is asked when the pixels are read.
            facts = read_facts(path, file.name, for_processing=True)
        except _FAULTS:
            return None, ""
        return with_name(facts, file.name, path), keys.exam(path, file.name)
