"""Bodies of requests, to files of bounded size and time."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import RefusedError

_COPIED = 2**20


@dataclass(frozen=True)
class BodyFile:
    """A file that a client sent.

    Attributes:
        path: Where it is.
        field: Of the form; empty where the file was the body.
    """

    path: Path
    field: str = ""


@asynccontextmanager
async def body_files(
    request: Request, config: ServeConfig, most: int = 1
) -> AsyncIterator[list[BodyFile]]:
    """Give a file with the body of a request, or the files of a multipart form.

    Args:
        request: Of which nothing was read yet.
        config: The limits.
        most: Files of a form.

    Raises:
        RefusedError: Too large (413), too slow (408), compressed (415), or a form without a file
            or with too many (400).
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(
            415,
            "The body is compressed",
            expected="no Content-Encoding",
            received="one",
        )
    with tempfile.TemporaryDirectory(prefix="mammo-serve-") as folder:
        stream = _limited(request, config)
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            yield await _form(request, stream, Path(folder), most)
            return
        path = Path(folder) / "body"
        with path.open("wb") as file:
            async for chunk in stream:
                file.write(chunk)
        yield [BodyFile(path)]


async def _limited(request: Request, config: ServeConfig) -> AsyncIterator[bytes]:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > config.max_body:
        raise _too_large(config, f"{declared[:20]} bytes")
    size = 0
    async for chunk in _timed(request, config):
        size += len(chunk)
        if size > config.max_body:
            raise _too_large(config, "more")
        yield chunk


async def _timed(request: Request, config: ServeConfig) -> AsyncIterator[bytes]:
    chunks = aiter(request.stream())
    end = asyncio.get_running_loop().time() + config.body_s
    while True:
        left = end - asyncio.get_running_loop().time()
        try:
            yield await asyncio.wait_for(anext(chunks), max(min(config.idle_s, left), 0.001))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RefusedError(
                408,
                "The body came too slowly",
                expected=f"a pause of at most {config.idle_s:g} s, and {config.body_s:g} s in all",
                received="more",
            ) from error


async def _form(
    request: Request, stream: AsyncIterator[bytes], folder: Path, most: int
) -> list[BodyFile]:
    count = "one file" if most == 1 else f"one to {most} files"
    wrong = RefusedError(
        400,
        "The form cannot be used",
        expected=f"multipart/form-data with {count}",
        received="another form",
    )
    try:
        form = await MultiPartParser(
            request.headers, _generator(stream), max_files=most, max_fields=16
        ).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise wrong from error
    try:
        files = [(name, one) for name, one in form.multi_items() if not isinstance(one, str)]
        if not 1 <= len(files) <= most:
            raise wrong
        found = []
        for number, (name, upload) in enumerate(files):
            found.append(BodyFile(folder / str(number), name))
            with found[-1].path.open("wb") as target:
                while data := await upload.read(_COPIED):
                    target.write(data)
        return found
    finally:
        await form.close()


async def _generator(stream: AsyncIterator[bytes]):  # type: ignore[no-untyped-def]
    async for chunk in stream:
        yield chunk


def _too_large(config: ServeConfig, received: str) -> RefusedError:
    return RefusedError(
        413,
        "The body is too large",
        expected=f"at most {config.max_body} bytes",
        received=received,
    )
