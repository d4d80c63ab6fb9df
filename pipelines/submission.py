"""How a run is submitted: as an uploaded version, so that KFP's pages name pipeline and version."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mammo_core.documents import DocumentError, parse_all_yaml, parse_json
from pipelines.compiled import name_of
from pipelines.connection import ClusterError

if TYPE_CHECKING:
    from pipelines.client import KfpClient

_DIGEST_LENGTH = 12


def uploaded_version(client: "KfpClient", text: str, version: str = "") -> tuple[str, str]:
    """Return the ids of the uploaded version that is this text, and of its pipeline.

    What is missing is uploaded. An uploaded version is never replaced: where one of this name has
    other content (other container images, another parallelism), the name gets a digest of the
    text.

    Args:
        client: The client of KFP.
        text: The compiled YAML, images in it.
        version: Name of the version, the tag of the images; empty: named by the digest alone.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    names = [version, f"{version}-{digest}"] if version else [f"file-{digest}"]
    for name in names:
        ids = _ids_of(client, text, name)
        if name == names[-1] or _is_same(client.version_text(*ids), text):
            return ids
    raise AssertionError("there is at least one name")


def _ids_of(client: "KfpClient", text: str, version: str) -> tuple[str, str]:
    """Return the ids of a version, which is uploaded if there is none."""
    try:
        return client.upload(text, version)[:2]
    except ClusterError:
        # Another client may have uploaded it meanwhile.
        pipeline_id = client.pipeline_id(name_of(text))
        version_id = client.version_id(pipeline_id, version) if pipeline_id else None
        if pipeline_id is None or version_id is None:
            raise
        return pipeline_id, version_id


def _is_same(uploaded: str, text: str) -> bool:
    def parts(compiled: str) -> list[Any]:
        spec, *platform = parse_all_yaml(compiled)
        # KFP returns the part of the platform with its key or without.
        return [spec, *(part.get("platforms", part) for part in platform)]

    return parts(uploaded) == parts(text)


def run_name(pipeline: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of a run: its recipe, the pipeline unless it is `train`, and the time.

    Args:
        pipeline: Name of the pipeline.
        parameters: Parameters of the run.
    """
    recipe = _recipe_name(str(parameters.get("recipe", "")))
    kind = "" if recipe and pipeline == "train" else pipeline
    time = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    return "-".join(part for part in (recipe, kind, time) if part)


def _recipe_name(reference: str) -> str:
    """The name of a recipe that is given as a name, a URI, or as a whole."""
    if reference.lstrip().startswith("{"):
        try:
            return str(parse_json(reference).get("name", ""))
        except DocumentError:
            return ""
    return PurePosixPath(reference).stem
