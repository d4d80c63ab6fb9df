"""What the tests know of an S3 server, and waiting for one."""

import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from urllib.error import HTTPError

import pytest

VARIABLES = ("MAMMO_S3_ENDPOINT", "MAMMO_S3_ACCESS_KEY", "MAMMO_S3_SECRET_KEY")


@dataclass(frozen=True)
class S3Server:
    """A server that the S3 tests may use.

    `kind` is `given` (MAMMO_S3_ENDPOINT), `minio`, `seaweedfs` (MAMMO_TEST_S3) or `moto` (which
    checks no credentials).
    """

    kind: str
    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the library use this server."""
        values = (self.endpoint, self.access_key, self.secret_key)
        return dict(zip(VARIABLES, values, strict=True))


def wait_for_answer(process: subprocess.Popen, url: str, seconds: float = 90.0) -> None:
    """Wait until an address answers, whatever it says."""
    deadline = time.monotonic() + seconds
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            direct.open(url, timeout=2)
            return
        except HTTPError:
            return
        except OSError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the S3 server at {url} does not answer", pytrace=False)
            time.sleep(0.1)
