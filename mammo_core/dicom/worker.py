"""The process that compiled codecs run in: a frame in, words out, until its parent ends.

Started by `decoders.py` as a script of its own: it imports numpy and nothing of the library,
so it is up in a third of a second. It holds nothing back for the next file: a codec that
crashes it, hangs or asks for too much memory costs one file.
"""

import fcntl
import importlib.util
import json
import os
import resource
import select
import signal
import socket
import sys
from typing import Any

import numpy as np


def main(arguments: list[str]) -> None:
    """Answer requests until the parent hangs up.

    Args:
        arguments: File descriptors of the control socket, the shared memory and the
            lifeline; bytes of address space; the file that has `decode`.
    """
    control, memory, lifeline, address_space = (int(word) for word in arguments[:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    _end_with(lifeline)
    # A core file would hold pixels of a patient.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    decode = _load(arguments[4])
    with socket.socket(fileno=control) as channel, channel.makefile("rwb") as stream:
        _send(stream, {"ready": True})
        for line in stream:
            _send(stream, _answer(decode, json.loads(line), memory))


def _end_with(lifeline: int) -> None:
    """Let the kernel end this process when the parent does, even inside a codec.

    Only the parent holds the pipe's other end, and never writes: SIGIO, which ends a process
    that does not handle it, comes when that end is closed. (PR_SET_PDEATHSIG follows the
    thread that started us, not the process.)
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit(0)


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("codecs_of_worker", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.decode


def _answer(decode: Any, request: dict[str, Any], memory: int) -> dict[str, Any]:
    frame = os.pread(memory, request["length"], 0)
    # Counts the processor's time, not the clock's: a busy machine makes no file undecodable.
    signal.setitimer(signal.ITIMER_PROF, request["seconds"])
    try:
        words = np.ascontiguousarray(decode(request, frame))
    except MemoryError:
        return {"memory": True}
    except ImportError as error:
        return {"broken": f"{type(error).__name__}: {error}"}
    except BaseException as error:  # A Rust codec panics with a BaseException.
        text = str(error).splitlines()
        return {"error": f"{type(error).__name__}: {text[0][:200] if text else ''}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    rest = words.reshape(-1).view(np.uint8).data
    place = 0
    while place < len(rest):
        place += os.pwrite(memory, rest[place:], place)
    return {"dtype": words.dtype.str, "shape": list(words.shape)}


def _send(stream: Any, answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer).encode() + b"\n")
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
