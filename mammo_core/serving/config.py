"""The configuration of a server."""

from pydantic import BaseModel, ConfigDict, Field

MEGABYTE = 2**20


class ServeConfig(BaseModel):
    """Limits of a server.

    Bodies wait on disk, so at most `slots` of them are in memory.

    Attributes:
        max_body_mb: Largest body (MiB); larger ones get 413.
        max_json_mb: Largest JSON part of a body (MiB); arrays may be sent as bytes.
        max_images: Images per inference request.
        max_requests: Concurrent requests, including those that wait; others get 503.
        idle_s: Longest pause within a body (seconds); longer ones get 408.
        body_s: Longest duration of a body (seconds); longer ones get 408.
        slots: Images that are decoded and scored at a time.
        grace_s: Time for a stopped server to complete its requests (seconds).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_body_mb: float = Field(default=256, gt=0)
    max_json_mb: float = Field(default=16, gt=0)
    max_images: int = Field(default=16, ge=1)
    max_requests: int = Field(default=512, ge=1)
    idle_s: float = Field(default=15, gt=0)
    body_s: float = Field(default=300, gt=0)
    slots: int = Field(default=3, ge=1)
    grace_s: int = Field(default=30, ge=1)

    @property
    def max_body(self) -> int:
        """Largest body in bytes."""
        return int(self.max_body_mb * MEGABYTE)

    @property
    def max_json(self) -> int:
        """Largest JSON part in bytes."""
        return int(self.max_json_mb * MEGABYTE)
