"""What scores behind the service: one package, one thread for the network."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mammo_core.packaging import Package
from mammo_core.packaging.prediction import check_pixels
from mammo_core.scoring.files import FoundFile
from mammo_core.scoring.images import Image, read
from mammo_core.scoring.members import Members, reading
from mammo_core.scoring.scorer import image_row

_Result = TypeVar("_Result")
#: How messages call an image that has no name here.
_NAME = "image"


@dataclass(frozen=True)
class Scored:
    """Probabilities of some images.

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

    async def score_file(self, path: Path, explain: bool) -> dict[str, Any]:
        """Score one image file; hold a slot meanwhile.

        Args:
            path: DICOM, PNG or TIFF.
            explain: Whether to add the hottest regions.

        Returns:
            The row of `mammo score`, without path and patient.

        Raises:
            MammoError: The file cannot be scored: why.
        """
        image = await self.read(lambda: self._decoded(path))
        scored = await self.score([image.pixels[0]])
        row = image_row(self.members, image)
        row |= reading(
            self.members.decision_point("image"),
            float(scored.probability[0]),
            float(scored.calibrated[0]),
        )
        del row["path"], row["patient"]
        if explain:
            row["regions"] = await self._on_network(lambda: self._regions(image))
        return row

    async def pixels_of(self, path: Path) -> npt.NDArray[np.uint16]:
        """Return an image file in the model's geometry; hold a slot meanwhile."""
        return (await self.read(lambda: self._decoded(path))).pixels[0]

    async def score(self, images: Sequence[npt.NDArray[np.uint16]]) -> Scored:
        """Score images of the model's geometry; hold a slot meanwhile.

        Args:
            images: Each `(H, W) uint16, [0, 65535]`.

        Raises:
            ModelError: They do not have the model's geometry.
        """
        for image in images:
            check_pixels(self.package.preprocessing, image[np.newaxis])

        def predict() -> Scored:
            # One at a time: a batch of another size would be traced anew.
            scores = [self.members.predict([[image]], 1)[0] for image in images]
            joined = [np.concatenate(scores)]
            return Scored(self.members.combine(joined), self.members.calibrate("image", joined))

        return await self._on_network(predict)

    def close(self) -> None:
        """Let the threads go."""
        self._readers.shutdown(wait=False)
        self._network.shutdown(wait=False)

    async def _on_network(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._network, work)

    def _decoded(self, path: Path) -> Image:
        found = read(FoundFile(_NAME, path=path), self.members.preprocessings, None)
        if isinstance(found, Image):
            return found
        raise found.error

    def _regions(self, image: Image) -> list[dict[str, Any]]:
        from mammo_core.evaluation.explanation import explain

        return [asdict(one) for one in explain(self.package, image.pixels[0]).regions]
