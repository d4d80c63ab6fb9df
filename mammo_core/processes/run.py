"""One command in a process of its own, from start to end."""

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from mammo_core.errors import RunError
from mammo_core.processes.follow import child_environment

_LAUNCHER: Final = Path(__file__).with_name("launch.py")
_LINE: Final = 200  # characters of a line in a message


@dataclass(frozen=True)
class ProcessResult:
    """How a process ended.

    Attributes:
        exit_code: 0 for success; the negative number of the signal that ended the process.
        stdout: What it printed; empty if that was not captured.
        stderr: What it printed as errors; empty if that was not captured.
        timed_out: Whether it was killed because it ran past its timeout.
    """

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the process ended by itself, with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def last_line(self) -> str:
        """The last line printed as an error, or else the last line printed; may be empty."""
        for output in (self.stderr, self.stdout):
            lines = output.decode(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:_LINE]
        return ""

    @property
    def failure(self) -> str:
        """How the process failed: timed out, signal or exit code, with its last line."""
        if self.timed_out:
            reason = "timed out"
        elif self.exit_code == -signal.SIGXCPU:
            reason = "too much processor time (SIGXCPU)"
        elif self.exit_code < 0:
            reason = _signal_name(-self.exit_code)
        else:
            reason = f"exit code {self.exit_code}"
        return f"{reason}: {self.last_line}" if self.last_line else reason


class ProcessError(RunError):
    """A process ended without a result."""


def run_process(
    command: Sequence[str],
    *,
    timeout_s: float | None = None,
    address_space: int | None = None,
    cpu_s: int | None = None,
    environment: Mapping[str, str] | None = None,
    inherit: bool = True,
    capture: bool = True,
) -> ProcessResult:
    """Run a command to its end in a process that does not outlive this one.

    The command gets no input and leaves no core file. It is ended when this process ends,
    even by kill -9; steps and commands of the library that it starts follow this process too.

    Args:
        command: The program and its arguments.
        timeout_s: Seconds by the clock after which it is killed, with what it started.
        address_space: Bytes of address space; beyond, its allocations fail.
        cpu_s: Seconds of processor time after which SIGXCPU ends it.
        environment: Variables to set, besides those of this process.
        inherit: Whether the command has the variables of this process, with the credentials
            among them.
        capture: Whether its output is returned instead of shown.

    Raises:
        OSError: The process cannot be started.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        # Files, not pipes: a grandchild that holds a pipe open would be waited for.
        outputs: dict[str, Any] = {"stdout": stdout, "stderr": stderr} if capture else {}
        process, lifeline = start_process(
            command,
            address_space=address_space,
            cpu_s=cpu_s,
            environment=environment,
            inherit=inherit,
            stdin=subprocess.DEVNULL,
            process_group=0,
            **outputs,
        )
        try:
            ended = _wait(process, timeout_s)
        finally:
            # After a timeout or an interrupt; a process that has ended is only waited for.
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            exit_code = process.wait()
            os.close(lifeline)
        return ProcessResult(exit_code, _content(stdout), _content(stderr), timed_out=not ended)


def start_process(
    command: Sequence[str],
    *,
    address_space: int | None = None,
    cpu_s: int | None = None,
    environment: Mapping[str, str] | None = None,
    inherit: bool = True,
    pass_fds: Sequence[int] = (),
    **options: Any,
) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a command under limits, to be ended by the kernel when this process ends.

    Args:
        command: The program and its arguments.
        address_space: As in `run_process`.
        cpu_s: As in `run_process`.
        environment: As in `run_process`.
        inherit: As in `run_process`.
        pass_fds: File descriptors that the command inherits.
        options: Options of `subprocess.Popen`.

    Returns:
        The process, and the file descriptor that keeps it alive: closing it ends the process.

    Raises:
        OSError: The process cannot be started.
    """
    read_end, write_end = os.pipe()
    limits = [str(read_end), str(address_space or 0), str(cpu_s or 0)]
    inherited = {**os.environ, **child_environment()} if inherit else {}
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), *limits, *command],
            env={**inherited, **(environment or {})},
            pass_fds=(read_end, *pass_fds),
            **options,
        )
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    return process, write_end


def _wait(process: "subprocess.Popen[bytes]", timeout_s: float | None) -> bool:
    """Wait for a process; returns whether it ended in time."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # a sandbox without this call: poll instead
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
        return process.returncode is not None
    try:
        waiter = select.poll()
        waiter.register(descriptor, select.POLLIN)
        return bool(waiter.poll(None if timeout_s is None else timeout_s * 1000))
    finally:
        os.close(descriptor)


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
