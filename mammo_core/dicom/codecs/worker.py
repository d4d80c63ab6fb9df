"""The process in which the compiled codecs run: frames in, words out, until its parent ends.

`decoders.py` starts it as a script, within limits and with an empty environment: it imports numpy
and nothing of the library, so it starts in a third of a second. It keeps nothing for the next
file: a codec that crashes it, hangs or needs too much memory costs one file.
"""

import importlib.util
import json
import os
import signal
import socket
import sys
from typing import Any

# Numeric libraries start threads, each with address space of its own.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np


def main(arguments: list[str]) -> None:
    """Answer requests until the parent closes the channel.

    Args:
        arguments: File descriptors of the channel and of the shared memory; the file with
            `decode`.
    """
    descriptor, memory = (int(word) for word in arguments[:2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    decode = _load(arguments[2])
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rwb") as stream:
        _send(stream, {"ready": True})
        for line in stream:
            _send(stream, _answer(decode, json.loads(line), memory))


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("codecs_of_worker", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.decode


def _answer(decode: Any, request: dict[str, Any], memory: int) -> dict[str, Any]:
    frame = os.pread(memory, request["length"], 0)
    # Processor time instead of wall time: a busy machine does not make a file undecodable.
    signal.setitimer(signal.ITIMER_PROF, request["seconds"])
    try:
        words = np.ascontiguousarray(decode(request, frame))
    except MemoryError:
        return {"memory": True}
    except ImportError as error:
        return {"broken": f"{type(error).__name__}: {error}"}
    except BaseException as error:  # a Rust codec panics with a BaseException
        text = str(error).splitlines()
        return {"error": f"{type(error).__name__}: {text[0][:200] if text else ''}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    data, written = words.reshape(-1).view(np.uint8).data, 0
    while written < len(data):
        written += os.pwrite(memory, data[written:], written)
    return {"dtype": words.dtype.str, "shape": list(words.shape)}


def _send(stream: Any, answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer).encode() + b"\n")
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
