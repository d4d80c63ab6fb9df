"""Processes that decode compressed frames, so that a codec can fail alone."""

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

#: Address space of a decoding process, in bytes: 100 million pixels of JPEG 2000 need 1.3e9.
ADDRESS_SPACE: Final = 2_000_000_000
_NATIVE: Final = Path(__file__).with_name("native.py")
_WORKER: Final = Path(__file__).with_name("worker.py")
#: Seconds in which a decoding process has to be up, on however busy a machine.
_START_SECONDS: Final = 120.0
#: Shared memory that a process keeps between frames.
_KEPT_BYTES: Final = 2**26
#: Signals by which a process ends through its own fault.
_CRASHES: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS,
     signal.SIGTRAP}
)  # fmt: skip

Words = np.ndarray[Any, np.dtype[Any]]


class _EndedError(Exception):
    """The process ended instead of answering."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _LateError(Exception):
    """The process did not answer in time."""


class Decoders:
    """A few decoding processes, each started when a thread first finds none idle.

    Args:
        codecs: Python file whose `decode(request, frame)` the processes call.
        address_space: Bytes of address space of each.
        seconds: Processor seconds that a frame may take, besides one for each four million
            pixels; four times as long by the clock.
        processes: How many at most; further threads wait.
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
        os.register_at_fork(after_in_child=self._forked)
        atexit.register(self.close)

    def decode(self, request: dict[str, Any], frame: bytes, name: str) -> Words:
        """Decode one frame in a process of its own.

        Args:
            request: What `native.decode` takes; `rows` and `columns` bound the time.
            frame: The codestream.
            name: The file, for messages.

        Returns:
            Words of 8 or 16 bits, in the shape the codec gave.

        Raises:
            DicomError: The codec refused the frame, crashed, took too long or too much memory.
            ChildProcessError: The process was ended from outside, or cannot be started: a fault
                of the machine, not of the file.
        """
        limit = self._seconds + request.get("rows", 0) * request.get("columns", 0) / 4e6
        with self._places:
            for last in (False, True):
                process = self._take()
                try:
                    answer, words = process.decode(request, frame, limit)
                except _LateError as error:
                    self._end(process)
                    raise _hangs(name, f"no answer in {4 * limit:.0f} s") from error
                except _EndedError as error:
                    self._end(process)
                    if error.code == -signal.SIGPROF:
                        raise _hangs(name, f"more than {limit:.0f} s") from error
                    # An earlier, damaged file may have left the process broken: only a fresh
                    # process that ends as well tells of this file.
                    if not last:
                        self._drop_idle()
                        continue
                    raise _crashed(name, error.code) from error
                except BaseException:
                    self._end(process)
                    raise
                self._idle.append(process)
                return _words(answer, words, name)
        raise ChildProcessError("A frame was not decoded")

    def close(self) -> None:
        """End the idle processes."""
        self._drop_idle()

    def pids(self) -> list[int]:
        """The process ids of idle processes."""
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
        # Append and pop of a list are atomic.
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._places = threading.BoundedSemaphore(self._processes)

    def _forked(self) -> None:
        # A fork shares the descriptors: it must neither talk to the processes of its parent
        # nor keep them alive.
        for process in self._all:
            process.forget()
        self._reset()


class _Process:
    """One decoding process; not for two threads at once."""

    def __init__(self, codecs: Path, address_space: int) -> None:
        self._channel, theirs = socket.socketpair()
        self._memory = os.memfd_create("mammo-frame", os.MFD_CLOEXEC)
        read_end, self._lifeline = os.pipe()
        command = [sys.executable, "-P", str(_WORKER), str(theirs.fileno()), str(self._memory)]
        command += [str(read_end), str(address_space), str(codecs)]
        try:
            # Numeric libraries start threads, each with address space of its own.
            threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # Codecs print what they think of a file.
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._memory, read_end),
                env={**os.environ, **dict.fromkeys(threads, "1")},
            )
        except OSError as error:
            self.forget()
            raise ChildProcessError(f"The decoding process does not start: {error}") from error
        finally:
            theirs.close()
            os.close(read_end)
        self.pid = self._popen.pid
        self._buffer = b""
        try:
            self._receive(time.monotonic() + _START_SECONDS)
        except (_EndedError, _LateError) as error:
            self.close()
            raise ChildProcessError(
                f"The decoding process does not start ({type(error).__name__.strip('_')} {error})"
            ) from error

    def decode(
        self, request: dict[str, Any], frame: bytes, limit: float
    ) -> tuple[dict[str, Any], Words | None]:
        """Return the answer, and the words where it has some."""
        rest, place = memoryview(frame), 0
        while place < len(rest):
            place += os.pwrite(self._memory, rest[place:], place)
        line = json.dumps({**request, "length": len(frame), "seconds": limit}).encode() + b"\n"
        try:
            self._channel.sendall(line)
        except OSError as error:
            raise _EndedError(self._code()) from error
        answer = self._receive(time.monotonic() + 4 * limit)
        words: Words | None = None
        if "dtype" in answer:
            words = np.empty(answer["shape"], answer["dtype"])
            space, place = words.reshape(-1).view(np.uint8).data, 0
            while place < len(space):
                read = os.preadv(self._memory, [space[place:]], place)
                if not read:
                    raise _EndedError(0)
                place += read
        # The pages are used again by the next frame, unless they are very many.
        if os.fstat(self._memory).st_size > _KEPT_BYTES:
            os.ftruncate(self._memory, 0)
        return answer, words

    def _code(self) -> int:
        """How the process ended: it has hung up."""
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(timeout=10)
        self._popen.kill()
        return self._popen.wait()

    def close(self) -> None:
        """End the process and wait for it."""
        self._popen.kill()
        self._popen.wait()
        self.forget()

    def forget(self) -> None:
        """Close the descriptors: the process ends when no one else holds them."""
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
                raise _LateError
            try:
                piece = self._channel.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise _EndedError(self._code())
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _words(answer: dict[str, Any], words: Words | None, name: str) -> Words:
    if words is not None:
        return words
    if "broken" in answer:
        raise ChildProcessError(f"A codec is not installed as it should be: {answer['broken']}")
    if "memory" in answer:
        raise DicomError(
            f"{name} has pixels that take too much memory to decode",
            expected=f"at most {ADDRESS_SPACE / 1e9:.0f} GB",
            received="more",
        )
    raise DicomError(
        f"{name} has pixels that cannot be decoded",
        expected="a codestream that its codec takes",
        received=str(answer.get("error")),
    )


def _hangs(name: str, received: str) -> DicomError:
    return DicomError(
        f"{name} has pixels that take too long to decode",
        expected="a codestream that its codec decodes in seconds",
        received=received,
    )


def _crashed(name: str, code: int) -> Exception:
    if code < 0 and -code not in _CRASHES:
        return ChildProcessError(
            f"The process that decoded {name} was ended by {signal.Signals(-code).name}: "
            "too little memory in the machine, or ended by hand"
        )
    return DicomError(
        f"{name} has pixels that crash their codec",
        expected="a codestream that its codec takes",
        received=signal.Signals(-code).name if code < 0 else f"exit code {code}",
    )


#: The processes that `mammo_core.dicom` decodes in.
DECODERS: Final = Decoders()
