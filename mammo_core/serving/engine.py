"""The scoring engine of the service: one package, one thread for the network."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.packaging import Package
from mammo_core.packaging.prediction import require_pixels
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import DecodedImage, decode_file
from mammo_core.scoring.model import ScoringModel, score_fields
from mammo_core.scoring.scorer import image_row
from mammo_core.scoring.units import ScoringUnit, build_breast

_Result = TypeVar("_Result")
#: How messages call an image of a request.
_NAME = "image"


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
        package: The verified and loaded package.
        slots: Images decoded or scored at a time; waiting ones have no pixels in memory.
    """

    def __init__(self, package: Package, slots: int) -> None:
        self.model = ScoringModel.from_packages([package])
        self.package = package
        self._slots = asyncio.Semaphore(slots)
        self._readers = ThreadPoolExecutor(slots, thread_name_prefix="decode")
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot: the right to have an image in memory."""
        async with self._slots:
            yield

    async def read(self, work: Callable[[], _Result]) -> _Result:
        """Run a function that reads a body or an image in a thread; the caller has a slot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def score_files(
        self, files: Sequence[tuple[Path, str | None]], explain: bool
    ) -> dict[str, Any]:
        """Score an image file, or the files of a breast; the caller has a slot.

        Args:
            files: DICOM, PNG or TIFF files, each with the view that the client states (CC, MLO).
            explain: Whether to add the regions with the highest scores.

        Returns:
            The row of `mammo score` without path and patient; for a breast: `laterality`,
            `views`, the score, and the rows of its `images`.

        Raises:
            MammoError: A file cannot be scored, or the files are not the views of a breast.
        """
        unit = await self._read_unit(files)
        scores = await self.score([unit.pixels[0]])
        fields = score_fields(
            self.model.decision_point(self.package.unit),
            float(scores.probability[0]),
            float(scores.calibrated[0]),
        )
        rows = []
        for image in unit.images:
            row = image_row(self.model, image)
            row["warnings"] += unit.warnings(image)
            del row["path"], row["patient"]
            if explain:
                row["regions"] = await self._on_network(partial(self._regions, unit, image))
            rows.append(row)
        if self.package.unit == "image":
            return rows[0] | fields
        sides = [row["laterality"] for row in rows if row["laterality"]]
        return {
            "laterality": sides[0] if sides else "",
            "views": [row["view"] for row in rows],
            "model_id": self.model.model_id,
            **fields,
            "warnings": list(dict.fromkeys(text for row in rows for text in row["warnings"])),
            "images": rows,
        }

    async def read_pixels(self, files: Sequence[tuple[Path, str | None]]) -> npt.NDArray[np.uint16]:
        """Read image files in the geometry of the model; the caller has a slot.

        Args:
            files: As in `score_files`.

        Returns:
            `(H, W) uint16, [0, 65535]`; for a breast `(2, H, W)`.
        """
        return (await self._read_unit(files)).pixels[0]

    async def score(self, images: Sequence[npt.NDArray[np.uint16]]) -> Probabilities:
        """Score images in the geometry of the model; the caller has a slot.

        Args:
            images: `(H, W) uint16, [0, 65535]` each; for breasts `(2, H, W)`.

        Raises:
            ModelError: The images do not have the geometry of the model.
        """
        for image in images:
            require_pixels(self.package.preprocessing, image[np.newaxis], unit=self.package.unit)

        def predict() -> Probabilities:
            # One at a time: TensorFlow would retrace the network for another batch size.
            scores = [self.model.predict([[image]], 1)[0] for image in images]
            joined = [np.concatenate(scores)]
            return Probabilities(
                self.model.combine(joined), self.model.calibrate(self.package.unit, joined)
            )

        return await self._on_network(predict)

    def close(self) -> None:
        """Stop the threads."""
        self._readers.shutdown(wait=False)
        self._network.shutdown(wait=False)

    async def _on_network(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._network, work)

    async def _read_unit(self, files: Sequence[tuple[Path, str | None]]) -> ScoringUnit:
        images = [await self.read(partial(self._decode, path, view)) for path, view in files]
        if self.package.unit == "image":
            return ScoringUnit((images[0],), images[0].pixels)
        return build_breast(images)

    def _decode(self, path: Path, view: str | None) -> DecodedImage:
        image = decode_file(InputFile(_NAME, path=path), self.model.preprocessings, None)
        if not isinstance(image, DecodedImage):
            raise image.error
        if view is None or image.facts.view == view:
            return image
        if image.facts.view is not None:
            raise RecordError(
                "The view in the header differs from the view that the client states",
                expected=f"view {view}",
                received=f"view {image.facts.view} in the header",
            )
        return replace(image, facts=image.facts.model_copy(update={"view": view}))

    def _regions(self, unit: ScoringUnit, image: DecodedImage) -> list[dict[str, Any]]:
        from mammo_core.evaluation.explanation import explain

        predict = unit.predictor_of_image(image, self.package.predict)
        explanation = explain(self.package, image.pixels[0], predict=predict)
        return [asdict(region) for region in explanation.regions]
