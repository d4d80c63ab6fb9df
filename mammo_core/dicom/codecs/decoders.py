"""Processes that decode compressed frames, so that a codec fails without its caller."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from mammo_core.errors import DicomError
from mammo_core.processes import start_process

#: Address space of a decoding process (bytes): 100 million pixels of JPEG 2000 need 1.3e9.
ADDRESS_SPACE: Final = 2_000_000_000
_NATIVE: Final = Path(__file__).with_name("native.py")
_WORKER: Final = Path(__file__).with_name("worker.py")
#: Seconds that a decoding process may take to start on a busy machine.
_START_SECONDS: Final = 120.0
#: Shared memory that a process keeps between frames.
_KEPT_MEMORY: Final = 2**26
#: Signals that end a process through its own fault.
_CRASHES: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS,
     signal.SIGTRAP}
)  # fmt: skip

Words = np.ndarray[Any, np.dtype[Any]]


class _ProcessEndedError(Exception):
    """The process ended without an answer."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _TimeoutError(Exception):
    """The process did not answer in time."""


class Decoders:
    """A few decoding processes, each started when a thread needs one and none is idle.

    Args:
        codecs: Python file with the function `decode(request, frame)` that the processes call.
        address_space: Bytes of address space of each process.
        seconds: Processor seconds that a frame may take, plus one per four million pixels;
            four times as long by the clock.
        processes: Maximum number of processes; further threads wait.
    """

    def __init__(
        self,
        codecs: Path = _NATIVE,
        *,
        address_space: int = ADDRESS_SPACE,
        seconds: float = 8.0,
        processes: int | None = None,
    ) -> None:
        self._codecs = codecs
        self._address_space = address_space
        self._seconds = seconds
        self._processes = processes or max(2, os.cpu_count() or 2)
        self._reset()
        os.register_at_fork(after_in_child=self._reset_after_fork)
        atexit.register(self.close)

    def decode(self, request: dict[str, Any], frame: bytes, name: str) -> Words:
        """Decode one frame in a separate process.

        Args:
            request: The request of `native.decode`; `rows` and `columns` determine the time limit.
            frame: The codestream.
            name: The file, for messages.

        Returns:
            Words of 8 or 16 bits, in the shape that the codec returned: `(h, w)` or `(h * w,)`.

        Raises:
            DicomError: The codec rejected the frame, crashed, or took too much time or memory.
            ChildProcessError: The process was killed from outside, or cannot be started: a fault of
                the machine, not of the file.
        """
        limit = self._seconds + request.get("rows", 0) * request.get("columns", 0) / 4e6
        with self._slots:
            for is_retry in (False, True):
                process = self._take()
                try:
                    answer, words = process.decode(request, frame, limit)
                except _TimeoutError as error:
                    self._end(process)
                    raise _timeout_error(name, f"no answer in {4 * limit:.0f} s") from error
                except _ProcessEndedError as error:
                    self._end(process)
                    if error.code == -signal.SIGPROF:
                        raise _timeout_error(name, f"more than {limit:.0f} s") from error
                    # An earlier, damaged file may have corrupted the process: only a second
                    # crash, in a fresh process, is the fault of this file.
                    if not is_retry:
                        self._drop_idle()
                        continue
                    raise _crash_error(name, error.code) from error
                except BaseException:
                    self._end(process)
                    raise
                self._idle.append(process)
                return _require_words(answer, words, name)
        raise ChildProcessError("The frame was not decoded")

    def close(self) -> None:
        """End the idle processes."""
        self._drop_idle()

    def pids(self) -> list[int]:
        """Return the process ids of the idle processes."""
        return [process.pid for process in list(self._idle)]

    def _take(self) -> "_Process":
        try:
            return self._idle.pop()
        except IndexError:
            process = _Process(self._codecs, self._address_space)
            self._all.add(process)
            return process

    def _drop_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):
                self._end(self._idle.pop())

    def _end(self, process: "_Process") -> None:
        self._all.discard(process)
        process.close()

    def _reset(self) -> None:
        # append and pop of a list are atomic
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._slots = threading.BoundedSemaphore(self._processes)

    def _reset_after_fork(self) -> None:
        # A fork shares the descriptors: it must neither use the processes of its parent nor keep
        # them alive.
        for process in self._all:
            process.close_descriptors()
        self._reset()


class _Process:
    """A decoding process, for one thread at a time."""

    def __init__(self, codecs: Path, address_space: int) -> None:
        self._channel, worker_end = socket.socketpair()
        self._memory = os.memfd_create("mammo-frame", os.MFD_CLOEXEC)
        self._lifeline = -1
        descriptors = (worker_end.fileno(), self._memory)
        try:
            self._popen, self._lifeline = start_process(
                [sys.executable, "-P", str(_WORKER), *map(str, descriptors), str(codecs)],
                address_space=address_space,
                inherit=False,  # no credentials where hostile bytes are decoded
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # codecs print messages about the file
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            self.close_descriptors()
            raise ChildProcessError(f"The decoding process does not start: {error}") from error
        finally:
            worker_end.close()
        self.pid = self._popen.pid
        self._buffer = b""
        try:
            self._receive(time.monotonic() + _START_SECONDS)
        except (_ProcessEndedError, _TimeoutError) as error:
            self.close()
            raise ChildProcessError(
                f"The decoding process does not start ({type(error).__name__.strip('_')} {error})"
            ) from error

    def decode(
        self, request: dict[str, Any], frame: bytes, limit: float
    ) -> tuple[dict[str, Any], Words | None]:
        """Return the answer and, if it succeeded, the words."""
        data, written = memoryview(frame), 0
        while written < len(data):
            written += os.pwrite(self._memory, data[written:], written)
        line = json.dumps({**request, "length": len(frame), "seconds": limit}).encode() + b"\n"
        try:
            self._channel.sendall(line)
        except OSError as error:
            raise _ProcessEndedError(self._exit_code()) from error
        answer = self._receive(time.monotonic() + 4 * limit)
        words: Words | None = None
        if "dtype" in answer:
            words = np.empty(answer["shape"], answer["dtype"])
            buffer, filled = words.reshape(-1).view(np.uint8).data, 0
            while filled < len(buffer):
                read = os.preadv(self._memory, [buffer[filled:]], filled)
                if not read:
                    raise _ProcessEndedError(0)
                filled += read
        # The next frame reuses the memory, unless it is very large.
        if os.fstat(self._memory).st_size > _KEPT_MEMORY:
            os.ftruncate(self._memory, 0)
        return answer, words

    def _exit_code(self) -> int:
        """Return the exit code of the process, which closed its end of the channel."""
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(timeout=10)
        self._popen.kill()
        return self._popen.wait()

    def close(self) -> None:
        """End the process and wait for it."""
        self._popen.kill()
        self._popen.wait()
        self.close_descriptors()

    def close_descriptors(self) -> None:
        """Close the descriptors; the kernel ends the process when no other process has them."""
        self._channel.close()
        for descriptor in (self._memory, self._lifeline):
            with suppress(OSError):
                os.close(descriptor)
        self._memory = self._lifeline = -1

    def _receive(self, deadline: float) -> dict[str, Any]:
        waiter = select.poll()
        waiter.register(self._channel, select.POLLIN)
        while b"\n" not in self._buffer:
            if not waiter.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise _TimeoutError
            try:
                piece = self._channel.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise _ProcessEndedError(self._exit_code())
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _require_words(answer: dict[str, Any], words: Words | None, name: str) -> Words:
    if words is not None:
        return words
    if "broken" in answer:
        raise ChildProcessError(f"A codec is not installed correctly: {answer['broken']}")
    if "memory" in answer:
        raise DicomError(
            f"{name} has pixels that need too much memory to decode",
            expected=f"at most {ADDRESS_SPACE / 1e9:.0f} GB",
            received="more",
        )
    raise DicomError(
        f"{name} has pixels that cannot be decoded",
        expected="a codestream that its codec accepts",
        received=str(answer.get("error")),
    )


def _timeout_error(name: str, received: str) -> DicomError:
    return DicomError(
        f"{name} has pixels that take too long to decode",
        expected="a codestream that its codec decodes in seconds",
        received=received,
    )


def _crash_error(name: str, code: int) -> Exception:
    if code < 0 and -code not in _CRASHES:
        return ChildProcessError(
            f"The process that decoded {name} was killed by {signal.Signals(-code).name}: "
            "the machine is out of memory, or somebody killed it"
        )
    return DicomError(
        f"{name} has pixels that crash their codec",
        expected="a codestream that its codec accepts",
        received=signal.Signals(-code).name if code < 0 else f"exit code {code}",
    )


#: The processes in which `mammo_core.dicom` decodes.
DECODERS: Final = Decoders()
