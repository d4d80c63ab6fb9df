"""One function call in a process of its own."""

import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from mammo_core import errors
from mammo_core.errors import MammoError
from mammo_core.processes.run import ProcessError, run_process

_CHILD: Final = "from mammo_core.processes.call import answer; answer()"
_REQUEST, _RESPONSE = "request.json", "response.json"


def call_in_process(
    function: Callable[..., Any],
    *arguments: Any,
    timeout_s: float | None = None,
    address_space: int | None = None,
    cpu_s: int | None = None,
    environment: Mapping[str, str] | None = None,
    capture: bool = True,
) -> Any:
    """Call a function in a fresh process and return its result.

    Arguments and result travel as JSON: no process of ours unpickles anything.

    Args:
        function: A function at the top level of an importable module.
        arguments: Its arguments, plain JSON.
        timeout_s: As in `run_process`.
        address_space: As in `run_process`.
        cpu_s: As in `run_process`.
        environment: As in `run_process`.
        capture: As in `run_process`.

    Returns:
        What the function returned, as JSON gives it back (a tuple is a list).

    Raises:
        MammoError: The function raised it; the nearest class in `mammo_core.errors`.
        ProcessError: The function raised anything else, or the process crashed, timed out or
            exceeded its limits.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-call-") as folder:
        request = {
            "path": sys.path,
            "module": function.__module__,
            "function": function.__qualname__,
            "arguments": arguments,
        }
        (Path(folder) / _REQUEST).write_text(json.dumps(request))
        result = run_process(
            [sys.executable, "-c", _CHILD, folder],
            timeout_s=timeout_s,
            address_space=address_space,
            cpu_s=cpu_s,
            environment=environment,
            capture=capture,
        )
        path = Path(folder) / _RESPONSE
        if not result.succeeded or not path.is_file():
            raise ProcessError(
                f"The process that ran {function.__name__} failed",
                expected="exit code 0 and a result",
                received=result.failure,
            )
        response = json.loads(path.read_text())
    if "error" in response:
        raise getattr(errors, response["class"])(**response["error"])
    return response["result"]


def answer() -> None:
    """Make the call that `call_in_process` wrote into the folder named on the command line."""
    folder = Path(sys.argv[1])
    request = json.loads((folder / _REQUEST).read_text())
    sys.path[:] = request["path"]
    function = getattr(importlib.import_module(request["module"]), request["function"])
    try:
        response: dict[str, Any] = {"result": function(*request["arguments"])}
    except MammoError as error:
        shared = [kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__]
        names = ("problem", "expected", "received", "hint")
        response = {
            "class": shared[0].__name__,
            "error": {name: getattr(error, name) for name in names},
        }
    (folder / _RESPONSE).write_text(json.dumps(response))
