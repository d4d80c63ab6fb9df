"""The scoring engine of the service: one model, one thread for its networks."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from mammo_core.dicom import read_facts
from mammo_core.errors import RecordError
from mammo_core.packaging.prediction import require_pixels
from mammo_core.scoring.events import EventRecorder
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.image_rows import image_row, warning_list
from mammo_core.scoring.images import DecodedImage, decode_file
from mammo_core.scoring.model import ScoringModel
from mammo_core.scoring.patients import PatientKeys
from mammo_core.scoring.units import ScoringUnit, build_breast
from mammo_core.serving.transport.fair_queue import FairQueue

_Result = TypeVar("_Result")
#: The pixels of an image or a breast for every package.
Inputs = Sequence[npt.NDArray[np.uint16]]
#: How messages call an image of a request.
_NAME = "image"
#: Threads that read headers, before a slot is given.
_INSPECTORS: Final = 2
#: Pixels of the largest mammograms.
_USUAL_PIXELS: Final = 40_000_000
#: Pixels per byte of a file. Lossy mammograms have about 25, bombs have thousands.
_USUAL_RATIO: Final = 100


@dataclass(frozen=True)
class Probabilities:
    """The probabilities of some images or breasts.

    Attributes:
        probability: `(n,) float64, [0, 1]`, uncalibrated.
        calibrated: `(n,) float64, [0, 1]`.
    """

    probability: npt.NDArray[np.float64]
    calibrated: npt.NDArray[np.float64]


class Engine:
    """Decodes in several threads and scores in one: the network runs one image at a time.

    Args:
        model: The verified and loaded packages.
        slots: Images decoded or scored at a time; waiting ones have no pixels in memory.
        on_request: Whether images are scored that the model's policy scores on request only.
        decide_unlike: Whether images unlike the training images get a decision, too.
        recorder: Records an event for each scored file; None: nothing is recorded.
    """

    def __init__(
        self,
        model: ScoringModel,
        slots: int,
        on_request: bool = False,
        decide_unlike: bool = False,
        recorder: EventRecorder | None = None,
    ) -> None:
        self.model = replace(model, decide_unlike=decide_unlike)
        self._recorder = recorder
        self._rule = self.model.policy_rule(on_request)
        self._keys = PatientKeys()
        self._queue = FairQueue(slots)
        self._inspections = FairQueue(_INSPECTORS)
        self._readers = ThreadPoolExecutor(slots, thread_name_prefix="decode")
        self._inspectors = ThreadPoolExecutor(_INSPECTORS, thread_name_prefix="inspect")
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._working = 0

    @property
    def is_idle(self) -> bool:
        """Whether no thread is working."""
        return self._working == 0

    def slot(self, client: str) -> AbstractAsyncContextManager[None]:
        """Wait for a slot: the right to have an image in memory."""
        return self._queue.slot(client)

    async def read(self, work: Callable[[], _Result]) -> _Result:
        """Run a function that reads a body or an image in a thread; the caller has a slot."""
        return await self._run(self._readers, work)

    async def score_files(
        self, client: str, files: Sequence[tuple[Path, str | None]], explain: bool
    ) -> dict[str, Any]:
        """Wait for a slot and score an image file, or the files of a breast.

        Args:
            client: Whose files they are.
            files: DICOM, PNG, TIFF or PGM files, each with the view that the client states (CC,
                MLO).
            explain: Whether to add the regions with the highest scores.

        Returns:
            The row of `mammo score` without path and patient; for a breast: `laterality`,
            `views`, the score, and the rows of its `images`.

        Raises:
            MammoError: A file cannot be scored, or the files are not the views of a breast.
        """
        heavy = await self._are_heavy(client, files) or explain
        async with self._queue.slot(client, heavy=heavy):
            return await self._score_files(files, explain)

    async def _score_files(
        self, files: Sequence[tuple[Path, str | None]], explain: bool
    ) -> dict[str, Any]:
        unit = await self._read_unit(files)
        scores = await self.score([unit.pixels])
        fields = self._fields(unit, scores, 0)
        rows = []
        for image in unit.images:
            row = image_row(self.model, image)
            row["warnings"] += warning_list(unit.warnings(image))
            del row["path"], row["patient"], row["exam"]
            if explain:
                row["regions"] = await self._on_network(partial(self._regions, unit, image))
            rows.append(row)
        if self._recorder is not None:
            pairs = zip(unit.images, rows, strict=True)
            warnings = {image.digest: row["warnings"] for image, row in pairs}
            self._recorder.record(self.model.model_id, unit, fields, warnings)
        if self.model.unit == "image":
            return rows[0] | fields
        sides = [row["laterality"] for row in rows if row["laterality"]]
        return {
            "laterality": sides[0] if sides else "",
            "views": [row["view"] for row in rows],
            "model_id": self.model.model_id,
            **fields,
            "unlike_training": _unlike_rows(unit),
            "warnings": list(
                {
                    warning["code"] + warning["message"]: warning
                    for row in rows
                    for warning in row["warnings"]
                }.values()
            ),
            "images": rows,
        }

    async def read_pixels(
        self, client: str, files: Sequence[tuple[Path, str | None]]
    ) -> tuple[ScoringUnit, list[dict[str, Any]]]:
        """Wait for a slot and read image files as each package takes them.

        Args:
            client: Whose files they are.
            files: As in `score_files`.

        Returns:
            The image or breast, and how it is unlike training images.
        """
        heavy = await self._are_heavy(client, files)
        async with self._queue.slot(client, heavy=heavy):
            unit = await self._read_unit(files)
            return unit, _unlike_rows(unit)

    async def score(self, images: Sequence[Inputs]) -> Probabilities:
        """Score images in the geometry of each package; the caller has a slot.

        Args:
            images: For each image, for every package `(H, W) uint16, [0, 65535]`; for breasts
                `(2, H, W)`.

        Raises:
            ModelError: The images do not have the geometry of a package.
        """
        model = self.model
        for image in images:
            for package, pixels in zip(model.packages, image, strict=True):
                require_pixels(package.preprocessing, pixels[np.newaxis], unit=model.unit)

        def predict() -> Probabilities:
            # One at a time: TensorFlow would retrace the network for another batch size.
            scores = [model.predict([image], 1) for image in images]
            joined = [np.concatenate(of_package) for of_package in zip(*scores, strict=True)]
            return Probabilities(model.combine(joined), model.calibrate(model.unit, joined))

        return await self._on_network(predict)

    def record(self, units: Sequence[ScoringUnit], scores: Probabilities) -> None:
        """Record the scores of files that `read_pixels` read, unless nothing is recorded.

        Args:
            units: Images or breasts.
            scores: Their probabilities.
        """
        if self._recorder is not None:
            for at, unit in enumerate(units):
                warnings = {
                    image.digest: image_row(self.model, image)["warnings"] for image in unit.images
                }
                self._recorder.record(
                    self.model.model_id, unit, self._fields(unit, scores, at), warnings
                )

    def close(self) -> None:
        """Stop the threads."""
        for executor in (self._inspectors, self._readers, self._network):
            executor.shutdown(wait=False, cancel_futures=True)

    def _fields(self, unit: ScoringUnit, scores: Probabilities, at: int) -> dict[str, Any]:
        return self.model.score_fields(
            self.model.unit,
            float(scores.probability[at]),
            float(scores.calibrated[at]),
            unit.is_unlike,
        )

    async def _on_network(self, work: Callable[[], _Result]) -> _Result:
        return await self._run(self._network, work)

    async def _run(self, executor: ThreadPoolExecutor, work: Callable[[], _Result]) -> _Result:
        """Run a function in a thread; if the caller is canceled, wait for its end all the same.

        A thread cannot be stopped, so the slot of its caller is in use until it ends. Decoders and
        parsers have limits of their own.
        """
        self._working += 1
        future = asyncio.get_running_loop().run_in_executor(executor, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            future.cancelled() or future.exception()  # the error of a thread nobody waits for
            raise
        finally:
            self._working -= 1

    async def _are_heavy(self, client: str, files: Sequence[tuple[Path, str | None]]) -> bool:
        """Return whether decoding takes far longer than that of a mammogram.

        Raises:
            DicomError: The header of a file shows that it cannot be scored.
        """
        async with self._inspections.slot(client):
            return await self._run(
                self._inspectors, lambda: any(self._is_heavy(path) for path, _ in files)
            )

    def _is_heavy(self, path: Path) -> bool:
        conversions = [one.conversion for one in self.model.preprocessings]
        facts = read_facts(
            path,
            _NAME,
            for_processing=any(conversion.for_processing for conversion in conversions),
            lossy_jpeg=any(conversion.lossy_jpeg for conversion in conversions),
        )
        pixels = facts.rows * facts.columns
        return pixels > _USUAL_PIXELS or pixels > _USUAL_RATIO * path.stat().st_size

    async def _read_unit(self, files: Sequence[tuple[Path, str | None]]) -> ScoringUnit:
        images = [await self.read(partial(self._decode, path, view)) for path, view in files]
        if self.model.unit == "image":
            return ScoringUnit((images[0],), images[0].pixels)
        return build_breast(images)

    def _decode(self, path: Path, view: str | None) -> DecodedImage:
        image = decode_file(
            InputFile(_NAME, path=path), self.model.preprocessings, self._keys, self._rule
        )
        if not isinstance(image, DecodedImage):
            raise image.error
        if view in (None, image.facts.view, image.facts.view_class):
            return image
        if image.facts.view is not None:
            raise RecordError(
                "The view in the header differs from the view that the client states",
                expected=f"view {view}",
                received=f"view {image.facts.view} in the header",
            )
        return replace(image, facts=image.facts.with_view(view, image.facts.laterality))

    def _regions(self, unit: ScoringUnit, image: DecodedImage) -> list[dict[str, Any]]:
        from mammo_core.scoring.explain import explain_image

        explanation, _ = explain_image(self.model, unit, image)
        return [asdict(region) for region in explanation.regions]


def _unlike_rows(unit: ScoringUnit) -> list[dict[str, Any]]:
    """Return how the images of a unit are unlike training images, each difference once."""
    return [item.row() for item in dict.fromkeys(i for image in unit.images for i in image.unlike)]
