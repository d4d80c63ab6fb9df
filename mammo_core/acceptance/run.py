"""`mammo accept`: from a model and a table of cases to the record of a site."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mammo_core.acceptance.assess import AcceptedModel, assess
from mammo_core.acceptance.cases import COLUMNS, read_cases, score_cases
from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.acceptance.kinds import ACCEPTANCE, AcceptanceFacts
from mammo_core.acceptance.record import RECORD, SiteRecord, today
from mammo_core.acceptance.report import acceptance_page
from mammo_core.csv_cells import escape_cell
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.outputs import Attempt, Draft, reuse_or_make
from mammo_core.datasets.tables import to_parquet
from mammo_core.errors import RecipeError
from mammo_core.evaluation.aggregate import Level
from mammo_core.models.backend import prepare_keras
from mammo_core.packaging import OpenedPackage, Package, signing_key
from mammo_core.packaging.contents import read_json
from mammo_core.progress import Progress, progress
from mammo_core.sources.config import SourceConfig
from mammo_core.store import Store

PAGE, CASES = "report.html", "cases.csv"
_STORED_CASES = "cases.parquet"
_AUCS: dict[Level, str] = {"image": "auc", "breast": "breast_auc", "patient": "patient_auc"}


@dataclass(frozen=True)
class AcceptanceResult:
    """What an acceptance has written.

    Attributes:
        record: The record.
        folder: The folder with the record, the page and the table of cases.
        output: The folder of the output in the store; empty without a store.
    """

    record: SiteRecord
    folder: Path
    output: str = ""


def accept(
    opened: OpenedPackage,
    cases: SourceConfig,
    site: str,
    out: Path,
    config: AcceptanceConfig,
    *,
    store: Store | None = None,
    on: date | None = None,
) -> AcceptanceResult:
    """Score a site's cases with a model, fit the rules of the site, and write its record.

    Args:
        opened: The package, opened.
        cases: The site's cases.
        site: Name of the site.
        out: Folder to write; must not exist.
        config: What the site requires.
        store: The object store to publish to, too; None for none.
        on: The day of the acceptance; None: today (UTC).

    Returns:
        The result, also if the model is not accepted: the record says why.

    Raises:
        RecipeError: The folder exists.
        SourceError: The table of cases cannot be used.
        RecordError: None of the images can be scored.
        ModelError: The record cannot be signed, or the package cannot be loaded.
        StoreError: A server failed.
        OSError: A disk failed.
    """
    if out.exists():
        raise RecipeError(
            "The acceptance cannot be written", expected="a new folder", received=str(out)
        )
    key, day = signing_key(), on or today()  # before any work
    prepare_keras()
    package = opened.load()
    bars: dict[str, Progress] = {}

    def show(work: str, done: int, total: int) -> None:
        bar = bars.setdefault(work, Progress(f"cases {work}", total, work.rsplit(maxsplit=1)[-1]))
        bar.advance(done - bar.done)

    tables = read_cases(cases, package, store, show)
    for bar in bars.values():
        bar.close()
    with progress("accept", len(tables.images), "images") as bar:
        scored = score_cases(tables, cases, opened, package, bar.advance)
    model = accepted_model(opened, package)
    assessment = assess(scored.images, scored.counts, model, site, day, config)
    record = SiteRecord.of(assessment, scored.counts, config, key)
    page = acceptance_page(assessment, record)
    table = scored.images.copy()
    files = {RECORD: record.to_bytes(), PAGE: page.encode()}
    output = ""
    if store is not None:
        output = _publish(store, record, {**files, _STORED_CASES: to_parquet(table)})
    for name in COLUMNS:
        if table[name].dtype == object:
            table[name] = table[name].map(lambda cell: escape_cell(str(cell)))
    files[CASES] = table.to_csv(index=False, lineterminator="\n").encode()
    _write_folder(out, files)
    return AcceptanceResult(record, out, output)


def accepted_model(opened: OpenedPackage, package: Package) -> AcceptedModel:
    """Return what an acceptance needs to know of a model.

    Args:
        opened: The package, opened.
        package: The package, loaded.
    """
    metrics = read_json(opened.folder, "metrics.json")
    aucs = {level: metrics.get(name) for level, name in _AUCS.items()}
    return AcceptedModel(
        name=opened.name,
        version=opened.version,
        model_id=opened.model_id,
        unit=package.unit,
        rules=package.rules,
        aucs={level: float(auc) for level, auc in aucs.items() if isinstance(auc, float | int)},
    )


def _publish(store: Store, record: SiteRecord, files: dict[str, bytes]) -> str:
    """Publish an acceptance; return the folder of the output."""
    rules = record.rules
    settings = {
        "site": rules.site,
        "accepted_on": rules.accepted_on.isoformat(),
        "model_id": rules.model_id,
        "cases": record.cases.digest,
        "record": record.digest,
        "requirements": record.config.model_dump(mode="json"),
    }
    id = ACCEPTANCE.content_id(settings)

    def make(attempt: Attempt) -> Draft:
        folder = attempt.folder(ACCEPTANCE.output(id))
        return Draft(
            ACCEPTANCE.manifest(
                id,
                config=settings,
                files=[put_bytes(store, folder, name, data) for name, data in files.items()],
                counts={"images": record.cases.images, "patients": record.cases.patients},
                facts=AcceptanceFacts(
                    site=rules.site,
                    accepted_on=rules.accepted_on,
                    accepted=record.accepted,
                    model_name=rules.model_name,
                    model_version=rules.model_version,
                    model_id=rules.model_id,
                    signed_by=record.signed_by,
                ),
                lineage={"model": rules.model_id},
            )
        )

    output = ACCEPTANCE.output(id)
    reuse_or_make(store, output, lambda: ACCEPTANCE.find(store, id), make)
    return output


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a new folder, which appears when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        temporary.chmod(0o700)  # it has keys of patients
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
