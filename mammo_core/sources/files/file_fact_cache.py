"""Facts about the files of a source, kept so that unchanged files are not read again.

A large source has a million answers, so they are compressed one by one, and only what is asked for
is made an object.
"""

import hashlib
import json
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from mammo_core.processes import give_back_memory
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store
from mammo_core.store.base import Entry

if TYPE_CHECKING:  # quick to load: see the package
    import pyarrow as pa

#: Bytes of the cache of a source, and of one answer: a picture of the audit page has a megabyte.
_MAXIMUM_BYTES: Final = 2**31
_MAXIMUM_ANSWER: Final = 2**25
_MAXIMUM_ANSWERS: Final = 50_000_000
#: Raised by hand when the answers to the same questions change.
_REVISION: Final = 5
_KEY_BYTES: Final = 16
#: What answers have in common, for the compressor.
_COMMON: Final = (
    b'null,null,false,true,0.0,{"patient":"","study":""}{"spacing":"0.050 mm (ImagerPixelSpacing)"'
    b',"pixel_sha256":"0123456789abcdef","thumbnail":"","undecodable":"","measures":{"low":0.0,'
    b'"median":0.,"bright":0.,"high":0.,"mean":0.,"used_range":0.,"steps":,"levels":,"background":'
    b'0.,"background_share":0.,"darkest_corner":0.,"contrast":0.,"breast_share":0.,'
    b'"breast_contact":0.,"chest_wall":"left","right","structure":0.,"smoothness":0.9,"jumps":0.0}'
    b',"warnings":[]}{"path":"","sha256":"","facts":{"view":"MLO","view":"CC","view_modifiers":[],'
    b'"view_class":null,"laterality":"LEFT","RIGHT","image_type":"ffdm","implant":null,'
    b'"partial_view":false,"specimen":false,"body_part":"breast","for_processing":false,'
    b'"burned_in":null,"patient_identity_removed":null,"patient_orientation":null,"paddle":null,'
    b'"magnification_factor":null,"area_mm2":null,"warnings":[],"transfer_syntax":'
    b'"1.2.840.10008.1.2.4.70","photometric":"MONOCHROME2","modality":"MG","manufacturer":"",'
    b'"rows":3328,"columns":2560,"bits_stored":12,"spacing_mm":0.07,"spacing_source":'
    b'"ImagerPixelSpacing","voi":"available","voi_function":"LINEAR"},"reason":""}'
)
_Answer = TypeVar("_Answer")


class FileFactCache:
    """Answers to questions about files, by the files' names, sizes and versions.

    A file that was written again has another version, so its answers are computed again.
    Answers that this run did not use are dropped when the cache is stored.

    Args:
        stored: Answers of earlier runs: key, answer, sorted by key.
    """

    def __init__(self, stored: "pa.Table | None" = None) -> None:
        import numpy as np

        keys = b""
        if stored is not None:
            column = stored.column("key").combine_chunks()
            keys = column.buffers()[1][column.offset * _KEY_BYTES :][: len(column) * _KEY_BYTES]
        # The first half of a key is nearly unique, the second decides.
        self._keys = np.frombuffer(keys, ">u8").reshape(-1, 2)
        self._first = np.ascontiguousarray(self._keys[:, 0]).astype(np.uint64)
        self._answers = None if stored is None else stored.column("answer").combine_chunks()
        self._is_used = np.zeros(len(self._keys), np.bool_)
        self._new: dict[bytes, bytes] = {}

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
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(store.fetch(key), pre_buffer=False) as file:
                _require_limits(file.metadata)
                cache = cls(file.read(["key", "answer"], use_threads=False).cast(_schema()))
            give_back_memory()
            return cache
        except (ValueError, TypeError, KeyError, OSError, pa.ArrowException):
            return cls()  # every answer is computed again

    def write(self, store: Store, source_uri: str) -> None:
        """Store the answers that this run used, if they differ from the stored ones.

        Args:
            store: The store of results.
            source_uri: The root of the source.
        """
        if not self._new and self._is_used.all():
            return
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        kept = np.flatnonzero(self._is_used)
        new = np.frombuffer(b"".join(self._new), ">u8").reshape(-1, 2)
        keys = np.concatenate([self._keys[kept], new])
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        answers = pa.array(list(self._new.values()), pa.large_binary())
        if self._answers is not None:
            answers = pa.concat_arrays([self._answers.take(pa.array(kept)), answers])
        answers = answers.take(pa.array(order))
        sorted_keys = pa.py_buffer(np.ascontiguousarray(keys[order], ">u8"))
        column = pa.Array.from_buffers(_schema()[0].type, len(order), [None, sorted_keys])
        table = pa.table([column, answers], schema=_schema())
        with tempfile.TemporaryDirectory(prefix="mammo-facts-") as folder:
            path = Path(folder) / "facts.parquet"
            pq.write_table(table, path, compression="none", use_dictionary=False)
            del table, column, answers
            give_back_memory()
            store.put_file(_key(source_uri), path)

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
        key = hashlib.sha256(text.encode()).digest()[:_KEY_BYTES]
        at = self._find(key)
        stored = self._new.get(key) if at is None else self._stored(at)
        if stored is not None:
            try:
                answer = answers.validate_json(_unpacked(stored))
            except (ValidationError, zlib.error):  # written by another version of this program
                pass
            else:
                if at is not None:
                    self._is_used[at] = True
                return answer
        answer = compute()
        self._new[key] = _packed(answers.dump_json(answer))
        return answer

    def _find(self, key: bytes) -> int | None:
        """Return the position of a stored answer, or None."""
        import numpy as np

        first = int.from_bytes(key[:8], "big")
        at = int(np.searchsorted(self._first, np.uint64(first)))
        while at < len(self._first) and int(self._first[at]) == first:
            if self._keys[at].tobytes() == key:
                return at
            at += 1
        return None

    def _stored(self, at: int) -> bytes | None:
        value: bytes | None = self._answers[at].as_py() if self._answers is not None else None
        return value


def _packed(answer: bytes) -> bytes:
    compressor = zlib.compressobj(level=1, wbits=-15, zdict=_COMMON)
    return compressor.compress(answer) + compressor.flush()


def _unpacked(stored: bytes) -> bytes:
    return zlib.decompressobj(wbits=-15, zdict=_COMMON).decompress(stored, _MAXIMUM_ANSWER)


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("key", pa.binary(_KEY_BYTES)), ("answer", pa.large_binary())])


def _require_limits(metadata: "pa.parquet.FileMetaData") -> None:
    groups = range(metadata.num_row_groups)
    size = sum(metadata.row_group(at).total_byte_size for at in groups)
    if size > _MAXIMUM_BYTES or metadata.num_rows > _MAXIMUM_ANSWERS:
        raise ValueError(f"{size} bytes of {metadata.num_rows} answers")


def _key(source_uri: str) -> str:
    digest = hashlib.sha256(source_uri.encode()).hexdigest()[:32]
    return TABLES.note("file-facts", digest, ".parquet")
