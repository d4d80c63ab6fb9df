"""The errors that a client receives."""

from typing import Any

from mammo_core.errors import MammoError


class RequestError(Exception):
    """A request that is rejected, with an HTTP status and a reason.

    Args:
        status: 4xx or 503.
        problem: What is wrong.
        expected: What the server accepts.
        received: What the client sent.
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


def error_content(error: MammoError) -> dict[str, Any]:
    """Return an error of the library as JSON; the protocol defines only the field `error`."""
    content = {
        "error": str(error),
        "problem": error.problem,
        "expected": error.expected,
        "received": error.received,
    }
    return content | ({"hint": error.hint} if error.hint else {})
