"""How a server behaves."""

from pydantic import BaseModel, ConfigDict, Field

MEGABYTE = 2**20


class ServeConfig(BaseModel):
    """Limits of a server. Bodies wait on the disk, so memory holds `slots` of them at most.

    Attributes:
        max_body_mb: The largest body (MiB): 413 beyond.
        max_json_mb: The largest JSON part of a body (MiB); arrays may be sent as bytes.
        max_images: Images of one inference request.
        max_requests: Requests at a time, those that wait too: 503 beyond.
        idle_s: How long a body may pause (seconds): 408 beyond.
        body_s: How long a body may take (seconds): 408 beyond.
        slots: Images that are decoded and scored at a time.
        grace_s: How long a stopped server finishes what it began (seconds).
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
        """The largest body, in bytes."""
        return int(self.max_body_mb * MEGABYTE)

    @property
    def max_json(self) -> int:
        """The largest JSON part, in bytes."""
        return int(self.max_json_mb * MEGABYTE)
