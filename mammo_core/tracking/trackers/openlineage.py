"""OpenLineage events of runs and steps, with outputs as datasets named by their content ids.

Built by openlineage-python, whose variables in the environment are obeyed (OPENLINEAGE_URL,
OPENLINEAGE_API_KEY, OPENLINEAGE_NAMESPACE, OPENLINEAGE_CONFIG, OPENLINEAGE_DISABLED).
Source: https://openlineage.io/docs/spec/object-model.
"""

import importlib.metadata
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from mammo_core.datasets import Manifest
from mammo_core.tracking.config import RECORD, TrackingConfig
from mammo_core.tracking.events import RunEnd, StepEnd, StepStart, TrackedRun
from mammo_core.tracking.report import register_tracker

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run

_PRODUCER: Final = "urn:mammo-pipelines"
#: Namespace of datasets: a content id is the same in every store.
_DATASETS: Final = "mammo"
_TIMEOUT_S: Final = 5
_ENDS: Final = {"succeeded": "COMPLETE", "failed": "FAIL", "terminated": "ABORT"}


class OpenLineageTracker:
    """Sends the events of runs and steps.

    Args:
        config: Where they go.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self._namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or _DATASETS

    def run_started(self, run: TrackedRun) -> None:
        """Send the start of a run."""
        self._emit(run, "START", "run", self._run(_run_uuid(run)), self._job(run, ""))

    def run_ended(self, end: RunEnd) -> None:
        """Send the end of a run."""
        run = end.run
        state = _ENDS.get(end.state, "OTHER")
        self._emit(run, state, "run", self._run(_run_uuid(run)), self._job(run, ""), end.ended)

    def step_started(self, start: StepStart) -> None:
        """Send the start of a step and what goes in."""
        run, inputs = self._step_run(start), [_input(start.run, item) for item in start.inputs]
        job = self._job(start.run, start.step)
        self._emit(start.run, "START", start.step, run, job, start.started, inputs=inputs)

    def step_ended(self, end: StepEnd) -> None:
        """Send the end of a step and what came out."""
        start = end.start
        run = self._step_run(start, end.error)
        inputs = [_input(start.run, item) for item in start.inputs]
        outputs = [] if end.output is None else [_output(start.run, end.output)]
        job, state = self._job(start.run, start.step), _ENDS[end.state]
        self._emit(start.run, state, start.step, run, job, end.ended, inputs, outputs)

    def _emit(
        self,
        tracked: TrackedRun,
        state: str,
        name: str,
        run: "Run",
        job: "Job",
        time: float | None = None,
        inputs: "list[InputDataset] | None" = None,
        outputs: "list[OutputDataset] | None" = None,
    ) -> None:
        from openlineage.client.event_v2 import RunEvent, RunState

        moment = datetime.now(UTC) if time is None else datetime.fromtimestamp(time, UTC)
        event = RunEvent(
            eventTime=moment.isoformat(timespec="milliseconds"),
            eventType=RunState[state],
            run=run,
            job=job,
            producer=_PRODUCER,
            inputs=inputs or [],
            outputs=outputs or [],
        )
        # A file for each event: nothing in a store is appended to.
        file = f"{name}-{run.runId[:8]}-{state.lower()}.json"
        self._client(tracked, file).emit(event)

    def _client(self, run: TrackedRun, file: str) -> "OpenLineageClient":
        from openlineage.client import OpenLineageClient

        target = self._config.lineage
        if _destinations() or not target:
            return OpenLineageClient()
        if target == RECORD:
            return OpenLineageClient(transport=_record_transport(run, file))
        if target.startswith(("http://", "https://")):
            return OpenLineageClient(config={"transport": _http(target)})
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        transport = {"type": "file", "log_file_path": target, "append": True}
        return OpenLineageClient(config={"transport": transport})

    def _job(self, run: TrackedRun, step: str) -> "Job":
        from openlineage.client.event_v2 import Job
        from openlineage.client.generated.job_type_job import JobTypeJobFacet

        kind = JobTypeJobFacet(
            processingType="BATCH",
            integration="MAMMO",
            jobType="STEP" if step else "PIPELINE",
            producer=_PRODUCER,
        )
        name = ".".join(part for part in (run.recipe or "mammo", step) if part)
        return Job(namespace=self._namespace, name=name, facets={"jobType": kind})

    def _run(self, id: str, **facets: Any) -> "Run":
        from openlineage.client.event_v2 import Run
        from openlineage.client.generated.processing_engine_run import ProcessingEngineRunFacet

        engine = ProcessingEngineRunFacet(
            version=_version(), name="Mammo Pipelines", producer=_PRODUCER
        )
        return Run(runId=id, facets={"processing_engine": engine, **facets})

    def _step_run(self, start: StepStart, error: str = "") -> "Run":
        from openlineage.client.generated import error_message_run, parent_run

        facets: dict[str, Any] = {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(runId=_run_uuid(start.run)),
                job=parent_run.Job(namespace=self._namespace, name=start.run.recipe or "mammo"),
                producer=_PRODUCER,
            )
        }
        if error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=f"{error}: see the record of run {start.run.id}",
                programmingLanguage="python",
                producer=_PRODUCER,
            )
        return self._run(str(UUID(hex=start.attempt)), **facets)


def _destinations() -> list[str]:
    """Return the variables that say where events go."""
    names = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
    return [
        name for name in os.environ if name in names or name.startswith("OPENLINEAGE__TRANSPORT")
    ]


def _http(url: str) -> dict[str, Any]:
    transport: dict[str, Any] = {"type": "http", "url": url, "timeout": _TIMEOUT_S}
    # A server that is away costs seconds, not minutes.
    transport["retry"] = {"total": 1, "backoff_factor": 0.2}
    if key := os.environ.get("OPENLINEAGE_API_KEY"):
        transport["auth"] = {"type": "api_key", "apiKey": key}
    return transport


def _record_transport(run: TrackedRun, file: str) -> Any:
    from openlineage.client.serde import Serde
    from openlineage.client.transport import Config, Transport

    class RecordTransport(Transport):
        """Writes events into the record of the run."""

        kind = "mammo-record"
        config_class = Config

        def emit(self, event: Any) -> None:
            run.write(file, Serde.to_json(event).encode())

    return RecordTransport()


def _input(run: TrackedRun, manifest: Manifest) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset

    name, facets = manifest.folder, _facets(run, manifest)
    return InputDataset(namespace=_DATASETS, name=name, facets=facets)


def _output(run: TrackedRun, manifest: Manifest) -> "OutputDataset":
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.generated.output_statistics_output_dataset import (
        OutputStatisticsOutputDatasetFacet,
    )

    statistics = OutputStatisticsOutputDatasetFacet(
        rowCount=sum(file.count or 0 for file in manifest.files),
        size=sum(file.size for file in manifest.files),
        fileCount=len(manifest.files),
        producer=_PRODUCER,
    )
    return OutputDataset(
        namespace=_DATASETS,
        name=manifest.folder,
        facets=_facets(run, manifest),
        outputFacets={"outputStatistics": statistics},
    )


def _facets(run: TrackedRun, manifest: Manifest) -> dict[str, Any]:
    """Return the content id, and where the manifest is: a store, and its key there."""
    from openlineage.client.generated import dataset_version_dataset, symlinks_dataset

    location = symlinks_dataset.Identifier(namespace=run.store, name=manifest.key, type="LOCATION")
    return {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=manifest.id, producer=_PRODUCER
        ),
        "symlinks": symlinks_dataset.SymlinksDatasetFacet(
            identifiers=[location], producer=_PRODUCER
        ),
    }


def _run_uuid(run: TrackedRun) -> str:
    """Return the same UUID in every process of a run."""
    return str(uuid5(NAMESPACE_URL, f"{run.store}/runs/{run.id}"))


def _version() -> str:
    commit = os.environ.get("MAMMO_GIT_SHA", "")
    return importlib.metadata.version("mammo-pipelines") + (f"+{commit}" if commit else "")


def _open(config: TrackingConfig) -> OpenLineageTracker | None:
    return OpenLineageTracker(config) if config.lineage or _destinations() else None


register_tracker("openlineage", _open)
