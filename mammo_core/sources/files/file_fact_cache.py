"""Facts about the files of a source, kept so that unchanged files are not read again."""

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from mammo_core.documents import inflate, parse_json
from mammo_core.errors import StoreError
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store
from mammo_core.store.base import Entry

#: Bytes of the cache of a source: about a kB for each file.
_MAXIMUM_BYTES: Final = 2**30
#: Raised by hand when the answers to the same questions change.
_REVISION: Final = 4
_Answer = TypeVar("_Answer")


class FileFactCache:
    """Answers to questions about files, by the files' names, sizes and versions.

    A file that was written again has another version, so its answers are computed again.
    Answers that this run did not use are dropped when the cache is stored.

    Args:
        stored: Answers of earlier runs.
    """

    def __init__(self, stored: Mapping[str, str] | None = None) -> None:
        self._stored = dict(stored or {})
        self._used: dict[str, str] = {}

    @classmethod
    def read(cls, store: Store, source_uri: str) -> "FileFactCache":
        """Return the stored cache of a source; an empty one if it cannot be read.

        Args:
            store: The store of results.
            source_uri: The root of the source.
        """
        key = _key(source_uri)
        if not store.exists(key):
            return cls()
        try:
            return cls(
                parse_json(
                    inflate(store.read(key, _MAXIMUM_BYTES), _MAXIMUM_BYTES),
                    max_bytes=_MAXIMUM_BYTES,
                    max_values=_MAXIMUM_BYTES // 64,
                )
            )
        except (ValueError, TypeError, StoreError):
            return cls()  # every answer is computed again

    def write(self, store: Store, source_uri: str) -> None:
        """Store the answers that this run used, if they differ from the stored ones.

        Args:
            store: The store of results.
            source_uri: The root of the source.
        """
        if self._used.keys() != self._stored.keys():
            text = json.dumps(self._used, sort_keys=True)
            store.write(_key(source_uri), gzip.compress(text.encode(), 1, mtime=0))

    def cached(
        self,
        question: str,
        entries: Sequence[Entry],
        answers: TypeAdapter[_Answer],
        compute: Callable[[], _Answer],
    ) -> _Answer:
        """Return the answer to a question, computed now if it is not in the cache.

        Args:
            question: The question, with everything but the files that the answer depends on.
            entries: The files that the answer depends on.
            answers: Serializes answers as JSON and reads them.
            compute: Computes the answer; what it raises is never kept.
        """
        files = [[entry.key, entry.size, entry.version] for entry in entries]
        text = json.dumps([_REVISION, question, files])
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        stored = self._stored.get(key)
        if stored is not None:
            try:
                answer = answers.validate_json(stored)
            except ValidationError:  # written by another version of this program
                stored = None
        if stored is None:
            answer = compute()
            stored = answers.dump_json(answer).decode()
        self._used[key] = stored
        return answer


def _key(source_uri: str) -> str:
    digest = hashlib.sha256(source_uri.encode()).hexdigest()[:32]
    return TABLES.note("file-facts", digest, ".json.gz")
