"""From files through model packages to tables of scores, one batch at a time."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecipeError
from mammo_core.evaluation.aggregate import Unit
from mammo_core.packaging import Package
from mammo_core.scoring import tables
from mammo_core.scoring.delivery import Delivery
from mammo_core.scoring.events import EventRecorder
from mammo_core.scoring.explain import ImageExplainer
from mammo_core.scoring.files import InputFile, list_files
from mammo_core.scoring.image_rows import image_row, warning_list
from mammo_core.scoring.images import DecodedImage, PolicyRule, Reject, decode_file
from mammo_core.scoring.journal import Journal
from mammo_core.scoring.model import ScoringModel
from mammo_core.scoring.patients import PatientKeys
from mammo_core.scoring.results import ScoreSummary, output_files, rejects_path, write_results
from mammo_core.scoring.site_rules import SiteRules
from mammo_core.scoring.units import ScoringUnit, build_unit, group_files
from mammo_core.sources.identity.patients import content_key, site_key


@dataclass(frozen=True)
class ScoreOptions:
    """Options of a scoring run.

    Attributes:
        batch_size: Images, or breasts, in a batch of the network; also limits memory.
        weights: One per model; None for equal weights.
        flips: Whether each image is scored with its three flips; None: as the package was
            evaluated.
        operating_point: Name of the operating point for decisions; None: the first one of the
            package.
        heatmaps: Folder for a heatmap of every image; None for none.
        explain: Whether the regions with the highest scores of every image are written.
        workers: Threads that read files ahead of the network.
        on_request: Whether images are scored that the model's policy of images scores on request
            only.
        decide_unlike: Whether images unlike the training images get a decision, too.
        keyed_ids: Whether the id of an image is the digest of its file under the site key, so that
            nobody who holds the file finds it in the table.
        site: The rules of the site that accepted the model; None: those of the package.
        outlines: Whether what is delivered has regions with their outlines.
    """

    batch_size: int = 8
    weights: tuple[float, ...] | None = None
    flips: bool | None = None
    operating_point: str | None = None
    heatmaps: Path | None = None
    explain: bool = False
    workers: int = 2
    on_request: bool = False
    decide_unlike: bool = False
    keyed_ids: bool = False
    site: SiteRules | None = None
    outlines: bool = False

    def __post_init__(self) -> None:
        for name, value in (("batch size", self.batch_size), ("number of workers", self.workers)):
            if value < 1:
                raise RecipeError(
                    f"The {name} is not valid", expected="at least 1", received=str(value)
                )


def score(
    model: Package | Sequence[Package],
    inputs: Sequence[str | Path | InputFile],
    out: Path,
    options: ScoreOptions | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    recorder: EventRecorder | None = None,
    deliver: Callable[[Delivery], None] | None = None,
) -> ScoreSummary:
    """Score DICOM files and gray PNG and TIFF files, in folders and buckets.

    Writes scores per image (docs/scoring.md lists the columns; the id is the SHA-256 of the
    file), per breast and per patient, and the rejects (path, reason). A model of two views scores
    each breast once; all of its images have the probability of the breast. The tables appear at
    the end, when they are complete. The same files and models give the same bytes. An interrupted
    run resumes when it is repeated.

    Args:
        model: The package; or several, whose probabilities are averaged.
        inputs: Files, folders and `s3://bucket/prefix`, or files from `list_files`.
        out: The `.csv`, `.json` or `.parquet` to write.
        options: The options of the run.
        progress: Called after every batch with the number of files completed.
        recorder: Records an event for each scored image of this run; None: nothing is recorded.
        deliver: Called with all that was scored, once the tables are written. If it raises, the
            same command calls it again without scoring anything again.

    Raises:
        RecipeError: A path does not exist or contains no file; an option is not valid.
        SourceError: Ids are keyed, and there is no site key.
        ModelError: A network does not return probabilities, or the site accepted another model.
        StoreError: A bucket cannot be read.
        OSError: A disk failed; no table is written.
    """
    options = options or ScoreOptions()
    packages = [model] if isinstance(model, Package) else list(model)
    scoring_model = ScoringModel.from_packages(
        packages, options.weights, options.flips, options.operating_point, options.site
    )
    scoring_model = replace(scoring_model, decide_unlike=options.decide_unlike)
    tables.format_of(out)
    id_key = site_key() if options.keyed_ids else b""
    files = list_files(inputs, exclude=output_files(out))
    started = time.monotonic()
    size = min(options.batch_size, len(files))
    settings = _settings(scoring_model, options, size)
    journal = Journal(out.with_name(f".{out.name}.journal"), settings)
    keys = PatientKeys(journal.salt())
    groups = group_files(files, scoring_model.unit, keys, options.workers)
    files = [file for group in groups for file in group]
    done = journal.start(files, keys.salt)
    if done and progress is not None:
        progress(done)
    explainer = ImageExplainer(
        scoring_model,
        files,
        options.heatmaps,
        regions=options.explain or options.outlines,
        outlines=options.outlines,
    )
    ahead = size if scoring_model.unit == "image" else 2 * size
    rule = scoring_model.policy_rule(options.on_request)
    read = partial(_read, model=scoring_model, patients=keys, rule=rule, id_key=id_key)
    with _decode_ahead(files[done:], read, options.workers, ahead) as items:
        for batch in _batches(items, groups, done, scoring_model.unit, size):
            rows, regions = _score_batch(scoring_model, batch.units, size, explainer, recorder)
            reasons = [(reject.name, reject.reason) for reject in batch.rejects]
            journal.add(batch.files, rows, reasons, regions)
            if progress is not None:
                progress(len(batch.files))
    counts, written = write_results(out, scoring_model, journal, keys.numbered, options.explain)
    if deliver is not None:
        deliver(Delivery(scoring_model, tuple(files), journal, keys.numbered))
    journal.remove()
    return ScoreSummary(
        files=len(files),
        scored=counts["images"],
        rejected=counts["rejects"],
        warned=counts["warned"],
        unlike=counts["unlike"],
        without_patient=counts["without_patient"],
        resumed=done,
        seconds=time.monotonic() - started,
        out=out,
        rejects=rejects_path(out),
        written=tuple(written),
        no_decision=scoring_model.why_undecided(scoring_model.unit),
    )


@dataclass
class _Batch:
    """Files that are scored together; rejected files are included."""

    files: list[InputFile] = field(default_factory=list)
    units: list[ScoringUnit] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def _settings(model: ScoringModel, options: ScoreOptions, size: int) -> dict[str, Any]:
    # The weights are in the description of the model, in its order.
    values = asdict(replace(options, site=None))
    values |= {"heatmaps": str(options.heatmaps), "workers": 0, "weights": None}
    del values["site"]
    if options.site is not None:
        values["site"] = options.site.model_dump(mode="json")
    return {"model": model.describe(), "size": size, "options": values}


def _score_batch(
    model: ScoringModel,
    units: list[ScoringUnit],
    size: int,
    explainer: ImageExplainer,
    recorder: EventRecorder | None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of the images and of the regions."""
    if not units:
        return [], []
    scores = predict_units(model, units, size)
    probabilities, calibrated = model.combine(scores), model.calibrate(model.unit, scores)
    rows, regions = [], []
    for index, unit in enumerate(units):
        probability = float(probabilities[index])
        fields = model.score_fields(
            model.unit, probability, float(calibrated[index]), unit.is_unlike
        )
        fields["scores"] = [float(values[index]) for values in scores]
        warnings = {}
        for image in unit.images:
            heatmap, image_regions = explainer.explain(unit, image, probability)
            row = image_row(model, image)
            row["warnings"] += warning_list(unit.warnings(image))
            warnings[image.digest] = row["warnings"]
            rows.append(row | fields | {"heatmap": heatmap, "location": image.location})
            regions += image_regions
        if recorder is not None:
            recorder.record(model.model_id, unit, fields, warnings)
    return rows, regions


def predict_units(
    model: ScoringModel, units: list[ScoringUnit], size: int
) -> list[npt.NDArray[np.float64]]:
    """Score every unit; a breast whose view exists in parts is scored with each, and averaged.

    Args:
        model: The model.
        units: The units.
        size: Units in a batch of the network.

    Returns:
        For every package `(n,) float64, [0, 1]`, uncalibrated.
    """
    scores = model.predict([unit.pixels for unit in units], size)
    for at, unit in enumerate(units):
        pairs = unit.further_pairs
        for start in range(0, len(pairs), size):
            for values, further in zip(
                scores, model.predict(pairs[start : start + size], size), strict=True
            ):
                values[at] += further.sum()
        for values in scores:
            values[at] /= 1 + len(pairs)
    return scores


def _read(
    file: InputFile, *, model: ScoringModel, patients: PatientKeys, rule: PolicyRule, id_key: bytes
) -> DecodedImage | Reject:
    """Read a file; its id is a digest, under a key if there is one."""
    image = decode_file(file, model.preprocessings, patients, rule)
    if isinstance(image, Reject) or not id_key:
        return image
    return replace(image, digest=content_key(id_key, image.digest), has_keyed_id=True)


@contextmanager
def _decode_ahead(
    files: Sequence[InputFile],
    read: Callable[[InputFile], DecodedImage | Reject],
    workers: int,
    ahead: int,
) -> Iterator[Iterator[DecodedImage | Reject]]:
    """Read files in order and in threads, a bounded number ahead of the network."""
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="decode")

    def results() -> Iterator[DecodedImage | Reject]:
        waiting: deque[Future[DecodedImage | Reject]] = deque()
        for file in files:
            waiting.append(pool.submit(read, file))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield results()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(
    items: Iterator[DecodedImage | Reject],
    groups: Sequence[tuple[InputFile, ...]],
    done: int,
    unit: Unit,
    size: int,
) -> Iterator[_Batch]:
    """Yield batches of files; every batch but the last has `size` units.

    Args:
        items: The decoded files of `groups` after the first `done`.
        groups: The files of every unit.
        done: Files of complete units that are skipped.
        unit: The input of the models.
        size: Units per batch.
    """
    batch = _Batch()
    position = 0
    for group in groups:
        position += len(group)
        if position <= done:
            continue
        built, rejects = build_unit(islice(items, len(group)), unit)
        batch.files += group
        batch.units += [built] if built is not None else []
        batch.rejects += rejects
        # A long sequence of rejects must not accumulate.
        if len(batch.units) == size or len(batch.files) >= 16 * size:
            yield batch
            batch = _Batch()
    if batch.files:
        yield batch
