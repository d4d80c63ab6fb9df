"""Files through a model package into a table of scores, a batch at a time."""

import csv
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from mammo_core.dicom import read_any
from mammo_core.errors import DicomError, RecipeError, RecordError
from mammo_core.packaging import Package
from mammo_core.preprocessing import Preprocessing
from mammo_core.scoring.files import FoundFile, find_files

COLUMNS = ("id", "path", "laterality", "view", "malignant_probability", "model_id")
REJECT_COLUMNS = ("path", "reason")


@dataclass(frozen=True)
class ScoreSummary:
    """What a scoring did.

    Attributes:
        files: Files found.
        scored: Rows of the scores.
        rejected: Rows of the rejects.
        seconds: From the first file to the last.
        out: The scores.
        rejects: The rejects.
    """

    files: int
    scored: int
    rejected: int
    seconds: float
    out: Path
    rejects: Path

    @property
    def images_per_s(self) -> float:
        """Files per second, rejects counted in."""
        return self.files / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class _Image:
    """A file that was read: `pixels` is `(H, W) uint16, [0, 65535]`, in the model's geometry."""

    digest: str
    name: str
    laterality: str
    view: str
    pixels: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class _Reject:
    name: str
    reason: str


def rejects_path(out: Path) -> Path:
    """Return where the rejects of a table of scores go: `scores.rejects.csv`."""
    return out.with_name(f"{out.stem}.rejects.csv")


def score(
    model: Package,
    paths: Sequence[Path],
    out: Path,
    *,
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> ScoreSummary:
    """Score DICOM and grey PNG files, and folders of them.

    Writes the scores (columns id, path, laterality, view, malignant_probability, model_id; id
    is the SHA-256 of the file) and beside them the rejects (path, reason). Both are written
    aside and moved to their places at the end. The same files and model give the same bytes.

    Args:
        model: The package.
        paths: Files and folders.
        out: The CSV to write.
        batch_size: Images the network sees at once; also bounds memory.
        progress: Called with the number of files that were finished, after every batch.

    Raises:
        RecipeError: A path does not exist, or holds no file.
        ModelError: The network returns no probabilities.
        OSError: A disk failed; nothing is written then.
    """
    if batch_size < 1:
        raise RecipeError(
            "The batch size cannot be used", expected="at least 1", received=str(batch_size)
        )
    rejects = rejects_path(out)
    files = find_files(paths, leave_out=(out, rejects))
    started = time.monotonic()
    scored = rejected = 0
    with ExitStack() as stack:
        # Entered first, moved last: who sees new scores finds their rejects beside them.
        score_file = stack.enter_context(_aside(out))
        reject_file = stack.enter_context(_aside(rejects))
        score_rows = csv.writer(score_file, lineterminator="\n")
        reject_rows = csv.writer(reject_file, lineterminator="\n")
        score_rows.writerow(COLUMNS)
        reject_rows.writerow(REJECT_COLUMNS)
        decoded = stack.enter_context(_decoded(files, model.preprocessing, batch_size))
        for batch in _groups(decoded, batch_size):
            images = [item for item in batch if isinstance(item, _Image)]
            for item in batch:
                if isinstance(item, _Reject):
                    reject_rows.writerow((item.name, item.reason))
            for image, probability in zip(images, _predict(model, images), strict=True):
                score_rows.writerow(
                    (
                        image.digest,
                        image.name,
                        image.laterality,
                        image.view,
                        f"{probability:.6f}",
                        model.model_id,
                    )
                )
            scored += len(images)
            rejected += len(batch) - len(images)
            if progress is not None:
                progress(len(batch))
    return ScoreSummary(
        files=len(files),
        scored=scored,
        rejected=rejected,
        seconds=time.monotonic() - started,
        out=out,
        rejects=rejects,
    )


def _predict(model: Package, images: list[_Image]) -> npt.NDArray[np.float32]:
    """Probabilities of images; those of other widths (resize "height") go one by one."""
    if not images:
        return np.zeros(0, np.float32)
    if len({image.pixels.shape for image in images}) == 1:
        return model.predict(np.stack([image.pixels for image in images]), len(images))
    return np.concatenate([model.predict(image.pixels[np.newaxis]) for image in images])


def _read(file: FoundFile, preprocessing: Preprocessing) -> _Image | _Reject:
    """Read one file. Faults of the file are its reject; a failing disk is an OSError."""
    try:
        conversion = preprocessing.conversion
        mammogram = read_any(
            file.path,
            file.name,
            mammogram=True,
            voi=conversion.voi,
            for_processing=conversion.for_processing,
        )
        facts = mammogram.facts
        pixels = preprocessing.from_source(
            mammogram.pixels, facts.bits_stored, facts.laterality or ""
        )
    except (DicomError, RecipeError, RecordError) as error:
        return _Reject(file.name, str(error))
    with file.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return _Image(digest, file.name, facts.laterality or "", facts.view or "", pixels)


@contextmanager
def _decoded(
    files: Sequence[FoundFile], preprocessing: Preprocessing, ahead: int
) -> Iterator[Iterator[_Image | _Reject]]:
    """Read files in order, some ahead of the network, in one thread beside it."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")

    def results() -> Iterator[_Image | _Reject]:
        waiting: deque[Future[_Image | _Reject]] = deque()
        for file in files:
            waiting.append(pool.submit(_read, file, preprocessing))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield results()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _groups(items: Iterable[_Image | _Reject], images: int) -> Iterator[list[_Image | _Reject]]:
    """Group so that each group but the last holds a full batch of images; rejects ride along."""
    group: list[_Image | _Reject] = []
    held = 0
    for item in items:
        group.append(item)
        held += isinstance(item, _Image)
        if held == images:
            yield group
            group, held = [], 0
    if group:
        yield group


@contextmanager
def _aside(final: Path) -> Iterator[IO[str]]:
    """Write a text file beside its place, and move it there when all went well."""
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)
