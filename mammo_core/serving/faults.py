"""The errors that a client receives: every one has `error`, `problem`, `expected`, `received`."""

from collections.abc import Mapping
from typing import Any, Final

from mammo_core.errors import MammoError

#: Methods of HTTP that a message may repeat (RFC 9110 9.3).
HTTP_METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
)
#: Statuses that the framework or the server itself gives.
_HTTP_PROBLEMS: Final[Mapping[int, tuple[str, str, str]]] = {
    400: ("The request is not valid HTTP/1.1", "a request as in RFC 9112", "other bytes"),
    404: ("There is no such path", "a path of /openapi.json", "another path"),
    408: ("The head of the request arrived too slowly", "the whole head in time", "a part of it"),
    431: ("The head of the request is too large", "at most 64 kB of head", "more"),
}


class RequestError(Exception):
    """A request that is rejected, with an HTTP status and a reason.

    Args:
        status: 4xx or 503.
        problem: What is wrong.
        expected: What the server accepts.
        received: What the client sent.
        headers: Headers of the response.
    """

    def __init__(
        self,
        status: int,
        problem: str,
        *,
        expected: str,
        received: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.content = _content(problem, expected, received)
        self.headers = dict(headers or {})


def error_content(error: MammoError) -> dict[str, Any]:
    """Return an error of the library as JSON; the protocol defines only the field `error`."""
    content = _content(error.problem, error.expected, error.received)
    hint = {"hint": error.hint} if error.hint else {}
    return content | hint | {"error": str(error)}


def http_error_content(status: int, method: str = "", allow: str = "") -> dict[str, Any]:
    """Return an error of HTTP itself as JSON: 404, 405, a request that is not HTTP.

    Args:
        status: The status of the response.
        method: The method of the request.
        allow: The methods that the path has.
    """
    if status == 405:
        received = method if method in HTTP_METHODS else "another method"
        return _content("The method is not allowed", allow or "another method", received)
    return _content(*_HTTP_PROBLEMS.get(status, _HTTP_PROBLEMS[400]))


def internal_error_content() -> dict[str, Any]:
    """Return the error of a fault of the server as JSON; it says nothing about the request."""
    return _content("The server failed", "a response", "an internal error")


def _content(problem: str, expected: str, received: str) -> dict[str, Any]:
    return {
        "error": f"{problem}. Expected {expected}. Received {received}.",
        "problem": problem,
        "expected": expected,
        "received": received,
    }
