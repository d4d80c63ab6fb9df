"""What a client is told when a request cannot be served."""

from typing import Any

from mammo_core.errors import MammoError


class RefusedError(Exception):
    """A request that is refused: an HTTP status, and why.

    Args:
        status: 4xx or 503.
        problem: What is wrong.
        expected: What would have been right.
        received: What was there instead.
    """

    def __init__(self, status: int, problem: str, *, expected: str, received: str) -> None:
        super().__init__(problem)
        self.status = status
        self.content = {
            "error": f"{problem}. Expected {expected}. Received {received}.",
            "problem": problem,
            "expected": expected,
            "received": received,
        }


def told(error: MammoError) -> dict[str, Any]:
    """Return a fault of the library as a body; `error` is the protocol's one field."""
    parts = {
        "error": str(error),
        "problem": error.problem,
        "expected": error.expected,
        "received": error.received,
    }
    return parts | ({"hint": error.hint} if error.hint else {})
