"""What the faults of both S3 clients mean."""

import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError

#: (An upload in parts is gone when it was completed and only the answer was lost.)
_BUSY = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "NoSuchUpload")


def code_of(error: BaseException) -> tuple[str, int]:
    """Return the S3 error code and HTTP status of a fault of either client; ("", 0) for others."""
    if isinstance(error, S3Error):
        return str(error.code), int(getattr(error.response, "status", 0) or 0)
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's ClientError
        code = response.get("Error", {}).get("Code", "")
        return str(code), int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return "", 0


def transient(error: BaseException) -> bool:
    """Whether the same request may succeed when it is sent again."""
    code, status = code_of(error)
    if code:
        return code in _BUSY or status >= 500
    if isinstance(error, (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError)):
        return True
    # botocore is imported by those who use it: its classes are known by name here.
    names = {kind.__name__ for kind in type(error).__mro__}
    return not names.isdisjoint(("HTTPClientError", "ConnectionError"))
