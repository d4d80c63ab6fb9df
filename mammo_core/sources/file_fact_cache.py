"""What was found out about the files of a source, so that a grown source is not read anew."""

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from mammo_core.errors import StoreError
from mammo_core.store import Store
from mammo_core.store.base import Entry

#: Raised by hand when the answers to the same questions change.
_REVISION: Final = 1
_Answer = TypeVar("_Answer")


class FileFactCache:
    """Answers to questions about files, by the files' names, sizes and versions.

    A file that was written again has another version and is looked at again; answers that
    nobody asked for are dropped when the fact_cache are stored.

    Args:
        known: Answers of earlier runs.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = dict(known or {})
        self._asked: dict[str, str] = {}

    @classmethod
    def read(cls, store: Store, source_uri: str) -> "FileFactCache":
        """Return what is stored of a source; nothing when that cannot be read.

        Args:
            store: Where results are.
            source_uri: Where the source is.
        """
        key = _key(source_uri)
        if not store.exists(key):
            return cls()
        try:
            return cls(json.loads(gzip.decompress(store.read(key))))
        except (ValueError, OSError, EOFError, StoreError):
            return cls()  # found out again

    def write(self, store: Store, source_uri: str) -> None:
        """Store the answers that were asked for, if there are new ones.

        Args:
            store: Where results are.
            source_uri: Where the source is.
        """
        if self._asked.keys() != self._known.keys():
            text = json.dumps(self._asked, sort_keys=True)
            store.write(_key(source_uri), gzip.compress(text.encode(), 1, mtime=0))

    def cached(
        self,
        question: str,
        entries: Sequence[Entry],
        kind: TypeAdapter[_Answer],
        work: Callable[[], _Answer],
    ) -> _Answer:
        """Return the answer to a question, found out now if it was not asked before.

        Args:
            question: What is asked, all that the answer follows from besides the files.
            entries: The files that it follows from.
            kind: Writes answers as JSON and reads them.
            work: Finds the answer out; what it raises is never kept.
        """
        files = [[entry.key, entry.size, entry.version] for entry in entries]
        told = json.dumps([_REVISION, question, files])
        key = hashlib.sha256(told.encode()).hexdigest()[:32]
        text = self._known.get(key)
        if text is not None:
            try:
                answer = kind.validate_json(text)
            except ValidationError:  # of another version of this program
                text = None
        if text is None:
            answer = work()
            text = kind.dump_json(answer).decode()
        self._asked[key] = text
        return answer


def _key(source_uri: str) -> str:
    return f"tables/fact_cache/{hashlib.sha256(source_uri.encode()).hexdigest()[:32]}.json.gz"
