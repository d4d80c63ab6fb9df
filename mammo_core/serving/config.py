"""The configuration of a server."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MEGABYTE = 2**20


class ServeConfig(BaseModel):
    """Limits of a server.

    Bodies wait on disk, so at most `slots` of them are in memory.

    Attributes:
        max_body_mb: Largest body (MiB); larger ones get 413.
        max_json_mb: Largest JSON part of a body (MiB); arrays may be sent as bytes.
        max_images: Images per inference request.
        max_requests: Concurrent requests, including those that wait; others get 503.
        max_connections: Open connections. Beyond them, the oldest idle connection is closed.
        header_s: Longest time until the head of a request is complete (seconds), from the opening
            of the connection or the first byte; then the connection is closed.
        keep_alive_s: Longest pause between the requests of a connection (seconds).
        idle_s: Longest pause within a body (seconds); longer ones get 408.
        body_s: Longest duration of a body (seconds); longer ones get 408.
        work_s: Longest time from the end of the body to the response (seconds), waiting included;
            longer ones get 503.
        slots: Images that are decoded and scored at a time.
        grace_s: Time for a stopped server to complete its requests (seconds).
        allowed_hosts: Names that the Host header may have; `*.example.org` for all below a name,
            `*` for any. Addresses and `localhost` are always allowed.
        on_request: Whether images are scored that the model's policy scores on request only.
        decide_unlike: Whether images unlike the training images get a decision, too.
        api_pages: Whether to serve a page about the API at `/docs`.
        access_log: Whether to log a line per request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_body_mb: float = Field(default=256, gt=0)
    max_json_mb: float = Field(default=16, gt=0)
    max_images: int = Field(default=16, ge=1)
    max_requests: int = Field(default=512, ge=1)
    max_connections: int = Field(default=768, ge=2)
    header_s: float = Field(default=15, gt=0)
    keep_alive_s: float = Field(default=30, gt=0)
    idle_s: float = Field(default=15, gt=0)
    body_s: float = Field(default=300, gt=0)
    work_s: float = Field(default=120, gt=0)
    slots: int = Field(default=4, ge=1)
    grace_s: int = Field(default=30, ge=1)
    allowed_hosts: tuple[str, ...] = ()
    on_request: bool = False
    decide_unlike: bool = False
    api_pages: bool = False
    access_log: bool = True

    @model_validator(mode="after")
    def _require_more_connections_than_requests(self) -> Self:
        if self.max_connections <= self.max_requests:
            # Health and the answer 503 need connections beyond those of the requests.
            raise ValueError(f"more connections than the {self.max_requests} requests are needed")
        return self

    @property
    def max_body(self) -> int:
        """Largest body in bytes."""
        return int(self.max_body_mb * MEGABYTE)

    @property
    def max_json(self) -> int:
        """Largest JSON part in bytes."""
        return int(self.max_json_mb * MEGABYTE)
