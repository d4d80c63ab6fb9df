"""A client whose requests are signed by the server's clock, where ours is wrong.

S3 servers refuse requests whose time differs from theirs by more than 15 minutes
(RequestTimeTooSkewed; AWS, "Authenticating Requests (AWS Signature Version 4)").
"""

import traceback
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from minio import Minio, time
from minio.error import S3Error
from minio.time import utcnow

#: A smaller difference is not why a request was refused (seconds).
_TOLERANCE_S = 300.0


class ClockedMinio(Minio):  # type: ignore[misc]
    """A client that corrects its clock when the server refuses a request for it."""

    _offset = timedelta(0)

    def _build_headers(self, *args: Any, **options: Any) -> tuple[dict[str, Any], datetime]:
        headers, date = super()._build_headers(*args, **options)
        if self._offset:
            date += self._offset
            headers["x-amz-date"] = time.to_amz_date(date)
        return headers, date

    def _url_open(self, *args: Any, **options: Any) -> Any:
        used = self._offset
        try:
            return self._open(*args, **options)
        except S3Error as error:
            # The answer to HEAD has no text, and so no code.
            if error.code not in ("RequestTimeTooSkewed", "AccessDenied"):
                raise
            if not self._correct(used, str(error.response.headers.get("date") or "")):
                raise
        return self._open(*args, **options)

    def _open(self, *args: Any, **options: Any) -> Any:
        try:
            return super()._url_open(*args, **options)
        except Exception as error:
            # The frame that raised it refers to it: a cycle, with this client and its connections.
            traceback.clear_frames(error.__traceback__)
            raise

    def _correct(self, used: timedelta, date: str) -> bool:
        """Take over the server's clock; False if ours was not the reason of the refusal.

        Args:
            used: The correction with which the request was signed; another thread may have
                made a better one since.
            date: The server's time, as in its answer.
        """
        try:
            offset = parsedate_to_datetime(date) - utcnow()
        except ValueError:
            return False
        if abs(offset - used).total_seconds() < _TOLERANCE_S:
            return False
        self._offset = offset
        return True
