"""The recordings of a real Kubeflow Pipelines: what they hold, and the shapes of its answers."""

import copy
import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recordings"
#: Keys whose values are ours, and have any shape.
_FREE = ("pipeline_spec", "parameters")


def graph(name: str) -> dict[str, Any]:
    """The specification of a recorded pipeline, as far as its graph."""
    return json.loads((FOLDER / "graphs.json").read_text())[name]


def case(name: str) -> dict[str, Any]:
    """A recorded run: its moments, each with run, workflow and pods, and its logs."""
    return json.loads((FOLDER / "runs" / f"{name}.json").read_text())


def moment(name: str, number: int = -1) -> dict[str, Any]:
    """One moment of a recorded run, its pipeline in it."""
    recorded = case(name)
    shown = copy.deepcopy(recorded["moments"][number])
    shown["run"]["pipeline_spec"] = {"pipeline_spec": graph(recorded["graph"])}
    return shown


def operation(method: str, path: str) -> str:
    """The operation of a request: its path without the ids."""
    parts = path.removeprefix("/apis/v2beta1/").split("/")
    kinds = ("pipelines", "versions", "runs", "recurringruns", "experiments")
    for index in range(1, len(parts)):
        if parts[index - 1] in kinds and parts[index] not in (*kinds, "upload", "upload_version"):
            parts[index] = re.sub(r"^[^:]*", "ID", parts[index])
    return f"{method} {'/'.join(parts)}"


def shapes() -> dict[str, Any]:
    """Operation → the keys that an answer to it was seen to have; errors under `error`."""
    known: dict[str, Any] = {}
    for exchange in json.loads((FOLDER / "exchanges.json").read_text()).values():
        request = exchange["request"]
        name = operation(request["method"], request["path"])
        if exchange["status"] != 200:
            name = "upload error" if "upload" in name else "error"
        _add(known.setdefault(name, {}), exchange["body"])
    for path in sorted((FOLDER / "runs").glob("*.json")):
        for shown in json.loads(path.read_text())["moments"]:
            _add(known.setdefault("GET runs/ID", {}), shown["run"])
    # A run has one shape, wherever it stands.
    for run in (known["POST runs"], known["GET runs"]["runs"]):
        _add(known["GET runs/ID"], run)
    known["POST runs"] = known["GET runs"]["runs"] = known["GET runs/ID"]
    return known


def _add(shape: dict[str, Any], value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _add(shape, item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _add(shape.setdefault(key, {}), inner if key not in _FREE else None)


def differences(value: Any, shape: dict[str, Any], where: str) -> list[str]:
    """The keys of an answer that the real server was never seen to send."""
    if isinstance(value, list):
        return [line for item in value for line in differences(item, shape, where)]
    if not isinstance(value, dict):
        return []
    lines = [f"{where}.{key}" for key in value if key not in shape]
    for key, inner in value.items():
        if key in shape and key not in _FREE:
            lines += differences(inner, shape[key], f"{where}.{key}")
    return lines
