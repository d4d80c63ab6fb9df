"""The log of requests: a line of JSON each, without anything that identifies a person."""

import json
import sys
from datetime import UTC, datetime
from typing import Any, TextIO


class AccessLog:
    """Writes a line per request: when, which route, which status, how long.

    A route is the template of a path. Paths, queries, headers, addresses, names of clients and
    bodies are never written.

    Args:
        stream: Where lines go; by default standard error. None writes nothing.
    """

    def __init__(self, stream: TextIO | None = sys.stderr) -> None:
        self._stream = stream

    def write(self, *, event: str = "request", **fields: Any) -> None:
        """Write a line.

        Args:
            event: What happened.
            **fields: Its values.
        """
        if self._stream is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._stream.write(json.dumps({"time": now, "event": event, **fields}) + "\n")
        self._stream.flush()
