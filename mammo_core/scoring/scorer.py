"""Files through model packages into tables of scores, a batch at a time."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mammo_core.errors import RecipeError
from mammo_core.evaluation.aggregate import Unit
from mammo_core.packaging import Package
from mammo_core.scoring import tables
from mammo_core.scoring.cases import Case, gathered, grouped
from mammo_core.scoring.contract import warnings_of
from mammo_core.scoring.files import FoundFile, find_files
from mammo_core.scoring.images import Image, Reject, read
from mammo_core.scoring.journal import Journal
from mammo_core.scoring.levels import breasts, named_patients, patients
from mammo_core.scoring.members import Members, reading
from mammo_core.scoring.patients import PatientKeys


@dataclass(frozen=True)
class ScoreOptions:
    """How files are scored.

    Attributes:
        batch_size: Images, or breasts, the network sees at once; also bounds memory.
        weights: One per model; None for equal ones.
        flips: Whether each image is scored with its three flips; None as the package was
            evaluated.
        operating_point: Name of the one that decides; None for the package's first.
        heatmaps: Folder for a heatmap of every image; None for none.
        explain: Whether the hottest regions of every image are written.
        workers: Threads that read files ahead of the network.
    """

    batch_size: int = 8
    weights: tuple[float, ...] | None = None
    flips: bool | None = None
    operating_point: str | None = None
    heatmaps: Path | None = None
    explain: bool = False
    workers: int = 2

    def __post_init__(self) -> None:
        for what, value in (("batch size", self.batch_size), ("number of workers", self.workers)):
            if value < 1:
                raise RecipeError(
                    f"The {what} cannot be used", expected="at least 1", received=str(value)
                )


@dataclass(frozen=True)
class ScoreSummary:
    """What a scoring did.

    Attributes:
        files: Files found.
        scored: Rows of the scores.
        rejected: Rows of the rejects.
        warned: Images with a warning.
        without_patient: Images of no known patient or side: in no breast and no patient.
        resumed: Files that an earlier, stopped scoring had done.
        seconds: From the first file to the last.
        out: The scores per image; in JSON, of breasts and patients too.
        rejects: The rejects.
        written: Every file written, heatmaps left out.
    """

    files: int
    scored: int
    rejected: int
    warned: int
    without_patient: int
    resumed: int
    seconds: float
    out: Path
    rejects: Path
    written: tuple[Path, ...]

    @property
    def images_per_s(self) -> float:
        """Files per second, rejects counted in."""
        return (self.files - self.resumed) / self.seconds if self.seconds > 0 else 0.0


def rejects_path(out: Path) -> Path:
    """Return where the rejects of a table of scores go: `scores.rejects.csv`."""
    return tables.beside(out, "rejects", ".csv")


def own_files(out: Path) -> list[Path]:
    """Return every file that a scoring into `out` may write: none of them is scored."""
    names = ("breasts", "patients", "regions")
    return [out, rejects_path(out), *(tables.beside(out, name) for name in names)]


def score(
    model: Package | Sequence[Package],
    paths: Sequence[str | Path],
    out: Path,
    options: ScoreOptions | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> ScoreSummary:
    """Score DICOM files and grey PNG and TIFF files, folders and buckets of them.

    Writes scores per image (docs/scoring.md lists the columns; id is the SHA-256 of the file),
    per breast and per patient, and the rejects (path, reason). Models of both views score each
    breast once; each of its images has the probability of the breast. All are written aside and
    moved to their places at the end. The same files and models give the same bytes. A scoring
    that was stopped goes on where it was when it is asked for again.

    Args:
        model: The package; or several, whose probabilities are averaged.
        paths: Files, folders and `s3://bucket/prefix`.
        out: The `.csv`, `.json` or `.parquet` to write.
        options: How.
        progress: Called with the number of files that were finished, after every batch.

    Raises:
        RecipeError: A path does not exist, or holds no file; an option cannot be used.
        ModelError: A network returns no probabilities.
        StoreError: A bucket cannot be read.
        OSError: A disk failed; nothing is written then.
    """
    told = options or ScoreOptions()
    packages = [model] if isinstance(model, Package) else list(model)
    members = Members.of(packages, told.weights, told.flips, told.operating_point)
    tables.format_of(out)
    files = find_files(paths, leave_out=own_files(out))
    started = time.monotonic()
    size = min(told.batch_size, len(files))
    journal = Journal(out.with_name(f".{out.name}.journal"), _settings(members, told, size))
    keys = PatientKeys(journal.salt())
    cases = grouped(files, members.unit, keys, told.workers)
    files = [file for case in cases for file in case]
    done = journal.begin(files, keys.salt)
    if done and progress is not None:
        progress(done)
    drawing = _Drawing(members.packages[0], told, files)
    ahead = size if members.unit == "image" else 2 * size
    with _decoded(files[done:], members, keys, told, ahead) as decoded:
        for some, read_cases, rejects in _groups(decoded, cases, done, members.unit, size):
            rows, regions = _score_batch(members, read_cases, size, drawing)
            reasons = [(reject.name, reject.reason) for reject in rejects]
            journal.add(some, rows, reasons, regions)
            if progress is not None:
                progress(len(some))
    counts, written = _write(out, members, journal, keys.numbered, told.explain)
    journal.remove()
    return ScoreSummary(
        files=len(files),
        scored=counts["images"],
        rejected=counts["rejects"],
        warned=counts["warned"],
        without_patient=counts["without_patient"],
        resumed=done,
        seconds=time.monotonic() - started,
        out=out,
        rejects=rejects_path(out),
        written=tuple(written),
    )


def _settings(members: Members, options: ScoreOptions, size: int) -> dict[str, Any]:
    told = asdict(options) | {"heatmaps": str(options.heatmaps), "workers": 0}
    return {"model": members.described(), "size": size, "options": told}


def _score_batch(
    members: Members, cases: list[Case], size: int, drawing: "_Drawing"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if not cases:
        return [], []
    scores = members.predict([case.pixels for case in cases], size)
    probabilities, calibrated = members.combine(scores), members.calibrate(members.unit, scores)
    point = members.decision_point(members.unit)
    rows, regions = [], []
    for place, case in enumerate(cases):
        told = reading(point, float(probabilities[place]), float(calibrated[place]))
        told["scores"] = [float(mine[place]) for mine in scores]
        for image in case.images:
            picture, found = drawing.of(case, image, float(probabilities[place]))
            row = image_row(members, image)
            row["warnings"] += case.warnings(image)
            rows.append(row | told | {"heatmap": picture})
            regions += found
    return rows, regions


def image_row(members: Members, image: Image) -> dict[str, Any]:
    """Return what is known of an image and its model, without the score."""
    facts, package = image.facts, members.packages[0]
    return {
        "id": image.digest,
        "path": image.name,
        "laterality": facts.laterality or "",
        "view": facts.view or "",
        "model_id": members.model_id,
        "patient": image.patient,
        "rows": facts.rows,
        "columns": facts.columns,
        "bits_stored": facts.bits_stored,
        "spacing_mm": facts.spacing_mm,
        "transfer_syntax": facts.transfer_syntax,
        "photometric": facts.photometric,
        "manufacturer": facts.manufacturer,
        "warnings": warnings_of(facts, package.training_data, package.preprocessing),
    }


class _Drawing:
    """Heatmaps and regions of images, where they are asked for."""

    def __init__(self, package: Package, options: ScoreOptions, files: Sequence[FoundFile]) -> None:
        self._package, self._options = package, options
        names = Counter(file.name for file in files) if options.heatmaps else Counter()
        self._twice = {name for name, count in names.items() if count > 1}

    def of(self, case: Case, image: Image, probability: float) -> tuple[str, list[dict[str, Any]]]:
        """Return the heatmap's name (empty for none) and the rows of the regions."""
        folder = self._options.heatmaps
        if (folder is None and not self._options.explain) or not image.pixels:
            return "", []
        from mammo_core.evaluation.explanation import explain
        from mammo_core.reporting.pictures import Overlay, overlay

        predict = case.hiding(image, self._package.predict)
        told = explain(self._package, image.pixels[0], predict=predict)
        regions = [
            {"id": image.digest, "path": image.name, "kind": told.kind, **asdict(region)}
            for region in told.regions
        ]
        if folder is None:
            return "", regions
        same = f".{image.digest[:8]}" if image.name in self._twice else ""
        path = folder / f"{image.name}{same}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        caption = f"malignant probability {probability:.2f}"
        path.write_bytes(overlay(Overlay(image.pixels[0], told.heat, None, caption)))
        return path.relative_to(folder).as_posix(), regions if self._options.explain else []


def _write(
    out: Path, members: Members, journal: Journal, numbered: bool, explain: bool
) -> tuple[Counter[str], list[Path]]:
    """Write the tables from the journal; count what is in them."""
    known: dict[str, str] = {}
    counts: Counter[str] = Counter()

    def images() -> Iterator[dict[str, Any]]:
        for batch in journal.batches():
            yield from named_patients(batch["rows"], known, numbered)

    def shown() -> Iterator[Mapping[str, Any]]:
        for row in images():
            counts["images"] += 1
            counts["warned"] += bool(row["warnings"])
            counts["without_patient"] += not (row["patient"] and row["laterality"])
            yield {name: row[name] for name in tables.IMAGE_COLUMNS}

    def rejects() -> Iterator[Mapping[str, Any]]:
        for batch in journal.batches():
            for name, reason in batch["rejects"]:
                counts["rejects"] += 1
                yield {"path": name, "reason": reason}

    def regions() -> Iterator[Mapping[str, Any]]:
        for batch in journal.batches():
            yield from batch["regions"]

    # Written first: who sees new scores finds their rejects beside them.
    written = [rejects_path(out)]
    tables.write_table(written[0], tables.REJECT_COLUMNS, rejects())
    levels = {"breasts": breasts(members, images()), "patients": patients(members, images())}
    if tables.format_of(out) == ".json":
        further: dict[str, Iterable[Mapping[str, Any]]] = {"images": shown(), **levels}
        if explain:
            further["regions"] = regions()
        tables.write_json(out, {"model": members.described()}, further)
        return counts, [out, *written]
    for name, columns in (
        ("breasts", tables.BREAST_COLUMNS),
        ("patients", tables.PATIENT_COLUMNS),
    ):
        written.append(tables.beside(out, name))
        tables.write_table(written[-1], columns, levels[name])
    if explain:
        written.append(tables.beside(out, "regions"))
        tables.write_table(written[-1], tables.REGION_COLUMNS, regions())
    tables.write_table(out, tables.IMAGE_COLUMNS, shown())
    return counts, [out, *written]


@contextmanager
def _decoded(
    files: Sequence[FoundFile],
    members: Members,
    keys: PatientKeys,
    options: ScoreOptions,
    ahead: int,
) -> Iterator[Iterator[Image | Reject]]:
    """Read files in order, some ahead of the network, in threads beside it."""
    pool = ThreadPoolExecutor(max_workers=options.workers, thread_name_prefix="decode")

    def results() -> Iterator[Image | Reject]:
        waiting: deque[Future[Image | Reject]] = deque()
        for file in files:
            waiting.append(pool.submit(read, file, members.preprocessings, keys))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield results()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _groups(
    items: Iterator[Image | Reject],
    cases: Sequence[tuple[FoundFile, ...]],
    done: int,
    unit: Unit,
    size: int,
) -> Iterator[tuple[list[FoundFile], list[Case], list[Reject]]]:
    """Group so that each group but the last holds a full batch of cases; rejects ride along.

    Args:
        items: The files of `cases` after the first `done`, as they were read.
        cases: The files that are seen at once.
        done: Files that need not be read: of whole cases.
        unit: What the models see at once.
        size: Cases of a batch.
    """
    some: list[FoundFile] = []
    group: list[Case] = []
    rejects: list[Reject] = []
    before = 0
    for files in cases:
        before += len(files)
        if before <= done:
            continue
        case, refused = gathered(islice(items, len(files)), unit)
        some += files
        group += [case] if case is not None else []
        rejects += refused
        # Files that are all rejects must not pile up.
        if len(group) == size or len(some) >= 16 * size:
            yield some, group, rejects
            some, group, rejects = [], [], []
    if some:
        yield some, group, rejects
