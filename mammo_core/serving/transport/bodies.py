"""Bodies of requests as files, with limits on size and time."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import RequestError

_COPY_BYTES = 2**20


@dataclass(frozen=True)
class BodyFile:
    """A file that a client sent.

    Attributes:
        path: The file.
        field: Name of its form field; empty if the file is the whole body.
    """

    path: Path
    field: str = ""


@asynccontextmanager
async def body_files(
    request: Request, config: ServeConfig, max_files: int = 1
) -> AsyncIterator[list[BodyFile]]:
    """Provide the body of a request, or the files of a multipart form, within a `with` block.

    Args:
        request: The request, unread.
        config: The limits.
        max_files: Maximum number of files in a form.

    Raises:
        RequestError: The body is too large (413), too slow (408) or compressed (415), or a form
            has no file or too many (400).
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(
            415,
            "The body is compressed",
            expected="no Content-Encoding",
            received="a compressed body",
        )
    with tempfile.TemporaryDirectory(prefix="mammo-serve-") as folder:
        stream = _read_limited(request, config)
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            yield await _read_form(request, stream, Path(folder), max_files)
            return
        path = Path(folder) / "body"
        with path.open("wb") as file:
            async for chunk in stream:
                file.write(chunk)
        yield [BodyFile(path)]


async def _read_limited(request: Request, config: ServeConfig) -> AsyncIterator[bytes]:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > config.max_body:
        raise _too_large_error(config, f"{declared[:20]} bytes")
    size = 0
    async for chunk in _read_timed(request, config):
        size += len(chunk)
        if size > config.max_body:
            raise _too_large_error(config, "more")
        yield chunk


async def _read_timed(request: Request, config: ServeConfig) -> AsyncIterator[bytes]:
    chunks = aiter(request.stream())
    end = asyncio.get_running_loop().time() + config.body_s
    while True:
        left = end - asyncio.get_running_loop().time()
        try:
            yield await asyncio.wait_for(anext(chunks), max(min(config.idle_s, left), 0.001))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestError(
                408,
                "The body arrived too slowly",
                expected=f"pauses of at most {config.idle_s:g} s, and {config.body_s:g} s in total",
                received="more",
            ) from error


async def _read_form(
    request: Request, stream: AsyncIterator[bytes], folder: Path, max_files: int
) -> list[BodyFile]:
    count = "one file" if max_files == 1 else f"one to {max_files} files"
    form_error = RequestError(
        400,
        "The form is not valid",
        expected=f"multipart/form-data with {count}",
        received="another form",
    )
    try:
        form = await MultiPartParser(
            request.headers, _as_generator(stream), max_files=max_files, max_fields=16
        ).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise form_error from error
    try:
        files = [(name, value) for name, value in form.multi_items() if not isinstance(value, str)]
        if not 1 <= len(files) <= max_files:
            raise form_error
        saved = []
        for number, (name, upload) in enumerate(files):
            saved.append(BodyFile(folder / str(number), name))
            with saved[-1].path.open("wb") as target:
                while data := await upload.read(_COPY_BYTES):
                    target.write(data)
        return saved
    finally:
        await form.close()


async def _as_generator(stream: AsyncIterator[bytes]):  # type: ignore[no-untyped-def]
    async for chunk in stream:
        yield chunk


def _too_large_error(config: ServeConfig, received: str) -> RequestError:
    return RequestError(
        413,
        "The body is too large",
        expected=f"at most {config.max_body} bytes",
        received=received,
    )
