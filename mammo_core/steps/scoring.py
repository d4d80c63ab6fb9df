"""The step that scores every mammogram under a URI with a published model."""

import tempfile
from pathlib import Path

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.errors import ModelError
from mammo_core.models.backend import prepare_keras
from mammo_core.processes import lighter_batch
from mammo_core.scoring import list_files
from mammo_core.scoring.kinds import SCORES, ScoreFacts
from mammo_core.sources.identity.patients import site_key_state
from mammo_core.steps.step import StepContext, step

_TABLES = ("scores.parquet", "scores.breasts.parquet", "scores.patients.parquet")
_REJECTS = "scores.rejects.csv"
_REPORT = "report.html"


@step("score", has_recipe=False)
def score(
    context: StepContext,
    model: str,
    source: str,
    on_request: bool = False,
    decide_unlike: bool = False,
) -> Manifest:
    """Score every mammogram under a URI; the scores go into the store.

    It has no recipe: the package of the model has all settings.

    Args:
        context: The context of the step.
        model: URI of a package, or of a model in a registry (its champion).
        source: URI of the mammograms.
        on_request: Whether images are scored that the model's policy scores on request only.
        decide_unlike: Whether images unlike the training images get a decision, too.
    """
    from mammo_core.progress import progress
    from mammo_core.registry import open_package

    store = context.store
    package = open_package(model)
    files = list_files([source])
    switches = {"on_request": on_request, "decide_unlike": decide_unlike}
    config = {"model_id": package.model_id, "site_key": site_key_state(), **switches}
    id = SCORES.content_id(config, [(file.name, file.version) for file in files])

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        from mammo_core.scoring import ScoreOptions, score_report
        from mammo_core.scoring import score as score_files

        loaded = package.load()
        with tempfile.TemporaryDirectory(prefix="mammo-score-") as temporary:
            folder = Path(temporary)
            with progress("score", len(files), "images") as bar:
                options = ScoreOptions(
                    batch_size=lighter_batch(ScoreOptions.batch_size),
                    on_request=on_request,
                    decide_unlike=decide_unlike,
                )
                summary = score_files(
                    loaded, files, folder / _TABLES[0], options, progress=bar.advance
                )
            if not summary.scored:
                raise ModelError(
                    f"No image under {source} could be scored",
                    expected="at least one mammogram",
                    received=f"{summary.rejected} rejects, the first: "
                    f"{_first_row(summary.rejects)}",
                )
            page = score_report(loaded, summary, source)
            (folder / _REPORT).write_text(page, encoding="utf-8")
            target = attempt.folder(SCORES.output(id))
            manifest = SCORES.manifest(
                id,
                config=config,
                files=[
                    put_bytes(store, target, name, (folder / name).read_bytes())
                    for name in (*_TABLES, _REJECTS, _REPORT)
                ],
                counts={"images": summary.scored, "rejects": summary.rejected},
                facts=ScoreFacts(model_uri=model, warned=summary.warned, model_name=package.name),
                lineage={"model": package.model_id},
            )
            return Draft(manifest)

    manifest = context.reuse_or_make(SCORES, id, make)
    context.rejects = manifest.counts["rejects"]
    context.facts = manifest.facts
    return manifest


def _first_row(rejects: Path) -> str:
    lines = rejects.read_text(encoding="utf-8").splitlines()
    return lines[1] if len(lines) > 1 else "none"
