"""What scores behind the service: one package, one thread for the network."""

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
from mammo_core.packaging.prediction import check_pixels
from mammo_core.scoring.cases import Case, breast
from mammo_core.scoring.files import FoundFile
from mammo_core.scoring.images import Image, read
from mammo_core.scoring.members import Members, reading
from mammo_core.scoring.scorer import image_row

_Result = TypeVar("_Result")
#: How messages call an image that has no name here.
_NAME = "image"


@dataclass(frozen=True)
class Scored:
    """Probabilities of some images, or breasts.

    Attributes:
        probability: `(n,) float64, [0, 1]`, uncalibrated.
        calibrated: `(n,) float64, [0, 1]`.
    """

    probability: npt.NDArray[np.float64]
    calibrated: npt.NDArray[np.float64]


class Engine:
    """Decodes in threads, and scores in one: the network runs one image at a time.

    Args:
        package: Verified and loaded.
        slots: Images decoded or scored at a time; those that wait for one hold no pixels.
    """

    def __init__(self, package: Package, slots: int) -> None:
        self.members = Members.of([package])
        self.package = package
        self._slots = asyncio.Semaphore(slots)
        self._readers = ThreadPoolExecutor(slots, thread_name_prefix="decode")
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for the right to hold an image in memory."""
        async with self._slots:
            yield

    async def read(self, work: Callable[[], _Result]) -> _Result:
        """Do something that reads a body or an image, in a thread; hold a slot meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def score_files(
        self, files: Sequence[tuple[Path, str | None]], explain: bool
    ) -> dict[str, Any]:
        """Score one image file, or those of a breast; hold a slot meanwhile.

        Args:
            files: DICOM, PNG or TIFF, and of each the view that the client tells (CC, MLO).
            explain: Whether to add the hottest regions.

        Returns:
            The row of `mammo score`, without path and patient. Of a breast: `laterality`,
            `views` and the score, and the rows of its `images`.

        Raises:
            MammoError: A file cannot be scored, or they are not the views of a breast: why.
        """
        case = await self._case(files)
        scored = await self.score([case.pixels[0]])
        told = reading(
            self.members.decision_point(self.package.unit),
            float(scored.probability[0]),
            float(scored.calibrated[0]),
        )
        rows = []
        for image in case.images:
            row = image_row(self.members, image)
            row["warnings"] += case.warnings(image)
            del row["path"], row["patient"]
            if explain:
                row["regions"] = await self._on_network(partial(self._regions, case, image))
            rows.append(row)
        if self.package.unit == "image":
            return rows[0] | told
        sides = [row["laterality"] for row in rows if row["laterality"]]
        return {
            "laterality": sides[0] if sides else "",
            "views": [row["view"] for row in rows],
            "model_id": self.members.model_id,
            **told,
            "warnings": list(dict.fromkeys(one for row in rows for one in row["warnings"])),
            "images": rows,
        }

    async def pixels_of(self, files: Sequence[tuple[Path, str | None]]) -> npt.NDArray[np.uint16]:
        """Return image files in the model's geometry; hold a slot meanwhile.

        Args:
            files: As in `score_files`.

        Returns:
            `(H, W) uint16`, or `(2, H, W)` of a breast.
        """
        return (await self._case(files)).pixels[0]

    async def score(self, images: Sequence[npt.NDArray[np.uint16]]) -> Scored:
        """Score images of the model's geometry; hold a slot meanwhile.

        Args:
            images: Each `(H, W) uint16, [0, 65535]`; breasts `(2, H, W)`.

        Raises:
            ModelError: They do not have the model's geometry.
        """
        for image in images:
            check_pixels(self.package.preprocessing, image[np.newaxis], unit=self.package.unit)

        def predict() -> Scored:
            # One at a time: a batch of another size would be traced anew.
            scores = [self.members.predict([[image]], 1)[0] for image in images]
            joined = [np.concatenate(scores)]
            return Scored(
                self.members.combine(joined), self.members.calibrate(self.package.unit, joined)
            )

        return await self._on_network(predict)

    def close(self) -> None:
        """Let the threads go."""
        self._readers.shutdown(wait=False)
        self._network.shutdown(wait=False)

    async def _on_network(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._network, work)

    async def _case(self, files: Sequence[tuple[Path, str | None]]) -> Case:
        images = [await self.read(partial(self._decoded, *one)) for one in files]
        if self.package.unit == "image":
            return Case((images[0],), images[0].pixels)
        return breast(images)

    def _decoded(self, path: Path, view: str | None) -> Image:
        found = read(FoundFile(_NAME, path=path), self.members.preprocessings, None)
        if not isinstance(found, Image):
            raise found.error
        if view is None or found.facts.view == view:
            return found
        if found.facts.view is not None:
            raise RecordError(
                "This is another view than the client says",
                expected=f"view {view}",
                received=f"view {found.facts.view} in its header",
            )
        return replace(found, facts=found.facts.model_copy(update={"view": view}))

    def _regions(self, case: Case, image: Image) -> list[dict[str, Any]]:
        from mammo_core.evaluation.explanation import explain

        predict = case.hiding(image, self.package.predict)
        told = explain(self.package, image.pixels[0], predict=predict)
        return [asdict(one) for one in told.regions]
