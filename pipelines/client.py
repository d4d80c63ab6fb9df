"""The client of Kubeflow Pipelines (KFP): upload, run, list, wait."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammo_core.documents import parse_json
from mammo_core.errors import RecipeError
from pipelines.compiled import name_of, validate_parameters
from pipelines.connection import ClusterError, KfpSettings, connect, kfp_errors
from pipelines.run_requests import RunRequests, named

_PAGE = 100


class KfpClient(RunRequests):
    """The operations of Kubeflow Pipelines that the commands need.

    Args:
        settings: How to connect; the connection is checked immediately.
    """

    def __init__(self, settings: KfpSettings) -> None:
        super().__init__(settings, connect(settings))

    def upload(self, text: str, version: str, description: str = "") -> tuple[str, str, bool]:
        """Upload a compiled pipeline: a new pipeline, or a new version of one.

        Args:
            text: The compiled YAML, images in it.
            version: Name of the version, the git sha.
            description: Shown in the UI.

        Returns:
            Id of the pipeline, id of the version, and whether the version is new.
        """
        name = name_of(text)
        pipeline_id = self.pipeline_id(name)
        if pipeline_id is not None:
            version_id = self.version_id(pipeline_id, version)
            if version_id is not None:
                return pipeline_id, version_id, False
        with _as_file(text) as path, kfp_errors(self.settings, f"the pipeline {name}"):
            if pipeline_id is None:
                # KFP names the first version after the pipeline; ours is named by its git sha.
                created = self._client.upload_pipeline(
                    str(path), pipeline_name=name, description=description, namespace=self.namespace
                )
                pipeline_id = created.pipeline_id
            uploaded = self._client.upload_pipeline_version(
                str(path),
                pipeline_version_name=version,
                pipeline_id=pipeline_id,
                description=description,
            )
        return pipeline_id, uploaded.pipeline_version_id, True

    def pipeline_id(self, name: str) -> str | None:
        """Return the id of an uploaded pipeline, or None."""
        with kfp_errors(self.settings, f"the pipeline {name}"):
            response = self._client.list_pipelines(
                page_size=_PAGE, namespace=self.namespace, filter=named(name)
            )
        return response.pipelines[0].pipeline_id if response.pipelines else None

    def version_id(self, pipeline_id: str, version: str = "", name: str = "") -> str | None:
        """Return the id of a version of a pipeline; of the latest where none is named.

        KFP makes a version itself when a pipeline is uploaded, and names it after the pipeline. It
        can be of the same second as ours, and is never the latest.

        Args:
            pipeline_id: The pipeline.
            version: Name of the version; empty: the latest.
            name: Name of the pipeline.
        """
        if version:
            versions = self._versions(pipeline_id, named(version))
        else:
            versions = [item for item in self._versions(pipeline_id) if item.display_name != name]
        return versions[0].pipeline_version_id if versions else None

    def _versions(self, pipeline_id: str, predicate: str | None = None) -> list[Any]:
        """Return the versions of a pipeline, the latest first."""
        with kfp_errors(self.settings, "the versions of a pipeline"):
            response = self._client.list_pipeline_versions(
                pipeline_id, page_size=_PAGE, sort_by="created_at desc", filter=predicate
            )
        return list(response.pipeline_versions or [])

    def version_text(self, pipeline_id: str, version_id: str) -> str:
        """Return the compiled YAML of an uploaded version."""
        import yaml

        spec = self._version_spec(pipeline_id, version_id)
        parts = (
            [spec["pipeline_spec"], {"platforms": spec["platform_spec"]}]
            if "pipeline_spec" in spec
            else [spec]
        )
        return str(yaml.safe_dump_all(parts))

    def uploaded(self, name: str, version: str = "") -> tuple[str, str]:
        """Return the ids of an uploaded pipeline and its version.

        Raises:
            ClusterError: There is none of the name.
        """
        pipeline_id = self.pipeline_id(name)
        version_id = self.version_id(pipeline_id, version, name) if pipeline_id else None
        if pipeline_id is None or version_id is None:
            what = f"version {version} of the pipeline {name}" if version else f"pipeline {name}"
            raise ClusterError(
                f"Kubeflow Pipelines at {self.settings.host} has no {what}",
                expected="an uploaded one: `mammo pipeline list --pipelines` shows them",
                received="none",
                hint="`mammo pipeline upload` creates it",
            )
        return pipeline_id, version_id

    def run(
        self,
        parameters: dict[str, Any],
        *,
        name: str,
        experiment: str,
        text: str | None = None,
        version: tuple[str, str] | None = None,
        service_account: str = "",
        cache: bool | None = None,
    ) -> str:
        """Submit a run and return its id.

        Args:
            parameters: Parameters of the pipeline.
            name: Name of the run.
            experiment: Name of the experiment that the run belongs to.
            text: The compiled YAML; None to run an uploaded version.
            version: Ids of an uploaded pipeline and its version.
            service_account: Service account of the pods; empty: KFP's default.
            cache: Whether KFP's cache is used; None: as compiled, which is off.

        Raises:
            RecipeError: A parameter does not fit.
            ClusterError: KFP refuses.
        """
        if text is None and version is not None:
            validate_parameters(self.version_text(*version), parameters)
        elif text is not None:
            validate_parameters(text, parameters)
        experiment_id = self.experiment(experiment)
        with _as_file(text) as path, kfp_errors(self.settings, "the run"):
            created = self._client.run_pipeline(
                experiment_id,
                name,
                pipeline_package_path=str(path) if path else None,
                params=parameters,
                pipeline_id=version[0] if version else None,
                version_id=version[1] if version else None,
                enable_caching=cache if path else None,
                service_account=service_account or None,
            )
        return str(created.run_id)

    def pipelines(self) -> list[tuple[str, str, str]]:
        """Return the name, id and latest version of each uploaded pipeline."""
        with kfp_errors(self.settings, "the pipelines"):
            response = self._client.list_pipelines(page_size=_PAGE, namespace=self.namespace)
        rows = []
        for pipeline in response.pipelines or []:
            names = [version.display_name for version in self._versions(pipeline.pipeline_id)]
            ours = [name for name in names if name != pipeline.display_name]
            rows.append((pipeline.display_name, pipeline.pipeline_id, ours[0] if ours else "–"))
        return rows

    @property
    def api(self) -> Any:
        """The client of the KFP SDK, for the recurring runs."""
        return self._client


def parsed_parameters(texts: list[str]) -> dict[str, Any]:
    """Parse `name=value` texts; a value is JSON if it parses as JSON, otherwise text.

    Raises:
        RecipeError: A text has no `=`.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise RecipeError(
                "A parameter is not valid", expected="name=value", received=repr(text)
            )
        try:
            values[name] = parse_json(value)
        except ValueError:
            values[name] = value
    return values


@contextmanager
def _as_file(text: str | None) -> Iterator[Path | None]:
    if text is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mammo-pipeline-") as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(text)
        yield path
