"""The step that scores every mammogram under a URI with a published model."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, content_id, find, publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.errors import MammoError, ModelError
from mammo_core.processes import follow_parent
from mammo_core.scoring import ScoreOptions, find_files, score_report
from mammo_core.scoring import score as score_files
from mammo_core.sources.patients import site_key_state
from mammo_core.steps.base import open_run, write_status
from mammo_core.steps.networks import prepare_keras
from mammo_core.store import Store, open_store

SCORES = "scores"
#: Raised by hand when the tables change.
SCORES_REVISION = 2
_TABLES = ("scores.parquet", "scores.breasts.parquet", "scores.patients.parquet")
_REJECTS = "scores.rejects.csv"


def score(
    *,
    store: str,
    run_id: str,
    model: str,
    source: str,
    out: str,
    report: str = "",
    kfp_run_id: str = "",
) -> dict[str, Any]:
    """Score every mammogram under a URI; the scores go into the store.

    It has no recipe: what decides is the model's package. The same model and files give the
    same output, which is found and not made again.

    Args:
        store: URI of the object store, which gets the scores.
        run_id: The run.
        model: URI of a package, or of a model in a registry (its champion).
        source: URI of the mammograms.
        out: Where the manifest of the scores goes.
        report: Where an HTML page goes; empty for none.
        kfp_run_id: KFP's id of the run.

    Returns:
        The scores' id, whether they were found, and counts.
    """
    started, identity = time.time(), ""
    place: Store | None = None
    try:
        follow_parent()
        place = open_store(store)
        identity = open_run(place, run_id, kfp_run_id)
        write_status(place, identity, "score", "running", started)
        manifest, found = _score(place, model, source)
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(manifest.to_json())
        if report:
            Path(report).parent.mkdir(parents=True, exist_ok=True)
            Path(report).write_bytes(place.read(manifest.file("report.html").key))
        write_status(
            place,
            identity,
            "score",
            "succeeded",
            started,
            found=found,
            rejects=manifest.counts["rejects"],
            facts=manifest.facts,
            output=manifest.key,
            counts=manifest.counts,
        )
    except Exception as error:
        told = str(error) if isinstance(error, MammoError) else f"{type(error).__name__}: {error}"
        print(f"[score] error: {told}", flush=True)
        if place is not None and identity:
            try:
                write_status(place, identity, "score", "failed", started, error=told)
            except MammoError as second:
                print(f"[score] the run's record cannot be written: {second}", flush=True)
        sys.exit(1)
    return {"id": manifest.id, "found": found, **manifest.counts}


def _score(store: Store, model: str, source: str) -> tuple[Manifest, bool]:
    from mammo_core.packaging import load, verify
    from mammo_core.registry import resolve

    folder = resolve(model)
    named = verify(folder)
    files = find_files([source])
    config = {"model_id": named.model_id, "site_key": site_key_state()}
    inputs = [(file.name, file.version) for file in files]
    id = content_id(SCORES, SCORES_REVISION, config, inputs)
    present = find(store, SCORES, id)
    if present is not None:
        print(f"[score] found {SCORES}/{id}", flush=True)
        return present, True
    prepare_keras()
    package = load(folder)
    with store.lease(f"{SCORES}/{id}"), tempfile.TemporaryDirectory(prefix="mammo-score-") as aside:
        from mammo_core.progress import progress

        result = Path(aside) / _TABLES[0]
        with progress("score", len(files), "images") as shown:
            summary = score_files(package, [source], result, ScoreOptions(), progress=shown.advance)
        counts = {"images": summary.scored, "rejects": summary.rejected}
        if not summary.scored:
            raise ModelError(
                f"No image under {source} could be scored",
                expected="at least one mammogram",
                received=f"{summary.rejected} rejects, the first: {_first(summary.rejects)}",
            )
        page = score_report(package, summary, source)
        (Path(aside) / "report.html").write_text(page, encoding="utf-8")
        names = (*_TABLES, _REJECTS, "report.html")
        manifest = Manifest(
            kind=SCORES,
            id=id,
            revision=SCORES_REVISION,
            config=config,
            files=tuple(
                put_bytes(store, f"{SCORES}/{id}", name, (Path(aside) / name).read_bytes())
                for name in names
            ),
            counts=counts,
            facts={"model_uri": model, "warned": summary.warned, "model_name": named.name},
            lineage={"model": named.model_id},
        )
        return publish(store, manifest), False


def _first(rejects: Path) -> str:
    lines = rejects.read_text(encoding="utf-8").splitlines()
    return lines[1] if len(lines) > 1 else "none"
