"""One function call in a process of its own."""

import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from mammo_core.processes.run import ProcessError, run_process

_Result = TypeVar("_Result")

_CHILD: Final = "from mammo_core.processes.call import answer; answer()"
_REQUEST, _RESPONSE = "request", "response"


def call_in_process(
    function: Callable[..., _Result],
    *arguments: Any,
    timeout_s: float | None = None,
    address_space: int | None = None,
    cpu_s: int | None = None,
    environment: Mapping[str, str] | None = None,
    capture: bool = True,
) -> _Result:
    """Call a function in a fresh process and return its result.

    The result is unpickled: a function that parses untrusted data with native code should
    answer in plain bytes instead (`run_process`).

    Args:
        function: A function at the top level of an importable module.
        arguments: Its arguments; they and the result are pickled.
        timeout_s: As in `run_process`.
        address_space: As in `run_process`.
        cpu_s: As in `run_process`.
        environment: As in `run_process`.
        capture: As in `run_process`.

    Raises:
        ProcessError: The process crashed, timed out or exceeded its limits.
        Exception: Whatever the function raised.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-call-") as folder:
        with (Path(folder) / _REQUEST).open("wb") as file:
            # The path first: the function's module is imported from it.
            pickle.dump(sys.path, file)
            pickle.dump((function, arguments), file)
        result = run_process(
            [sys.executable, "-c", _CHILD, folder],
            timeout_s=timeout_s,
            address_space=address_space,
            cpu_s=cpu_s,
            environment=environment,
            capture=capture,
        )
        response = Path(folder) / _RESPONSE
        if not result.succeeded or not response.is_file():
            error = ProcessError(
                f"The process that ran {function.__name__} failed",
                expected="exit code 0 and a result",
                received=result.failure,
            )
            error.result = result
            raise error
        value, fault = pickle.loads(response.read_bytes())
    if fault is not None:
        raise fault
    return value  # type: ignore[no-any-return]


def answer() -> None:
    """Do the call that `call_in_process` wrote into the folder named on the command line."""
    folder = Path(sys.argv[1])
    with (folder / _REQUEST).open("rb") as file:
        sys.path[:] = pickle.load(file)
        function, arguments = pickle.load(file)
    try:
        response = pickle.dumps((function(*arguments), None))
    except Exception as error:
        error.add_note(traceback.format_exc())
        response = pickle.dumps((None, error))
        pickle.loads(response)  # an exception that cannot be unpickled ends the process instead
    partial = folder / f"{_RESPONSE}.part"
    partial.write_bytes(response)
    partial.replace(folder / _RESPONSE)
