"""Files of `torch.save`: zip archives (since PyTorch 1.6) and the sequence of pickles before."""

import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mammo_core.models.checkpoints.pickles import MAXIMUM_BYTES, read_pickle
from mammo_core.models.checkpoints.tensors import CheckpointError, Storage, refused
from mammo_core.models.checkpoints.walk import tensors_within

# The start of a legacy file: three pickles, then the object, the keys of its storages and these.
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_PICKLE: Final = "data.pkl"
_MAXIMUM_ENTRIES: Final = 100_000
_KEY: Final = re.compile(r"[0-9A-Za-z_]{1,64}")
_COUNT: Final = struct.Struct("<q")

Reader = Callable[[Storage], bytes]


def open_zip(path: Path) -> tuple[Any, Reader]:
    """Open a zip archive of `torch.save`.

    Returns:
        The saved object with `Tensor` for each tensor, and the function that reads a storage.

    Raises:
        CheckpointError: The archive is damaged or no such archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path.stat().st_size)
            pickles = [name for name in entries if name.count("/") == 1 and name.endswith(_PICKLE)]
            if len(pickles) != 1:
                raise refused(f"an archive with {len(pickles)} files {_PICKLE}")
            folder = pickles[0].removesuffix(_PICKLE)
            if any(name.startswith(f"{folder}code/") for name in entries):
                raise refused(
                    "a TorchScript program", "Save the state of the network instead of its program"
                )
            order = f"{folder}byteorder"
            if order in entries and archive.read(order).strip() != b"little":
                raise refused("numbers in big-endian order")
            if entries[pickles[0]].file_size > MAXIMUM_BYTES:
                raise refused(f"a pickle of more than {MAXIMUM_BYTES:,} bytes")
            with archive.open(pickles[0]) as file:
                content = read_pickle(file)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise refused(f"a damaged archive: {str(error)[:80]}") from error

    def read(storage: Storage) -> bytes:
        name = f"{folder}data/{storage.key}"
        if not _KEY.fullmatch(storage.key) or name not in entries:
            raise refused(f"a tensor of a storage {storage.key[:80]!r} that is not in the archive")
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.read(name)
        except (zipfile.BadZipFile, EOFError) as error:
            raise refused(f"a damaged archive: {str(error)[:80]}") from error

    return content, read


def open_legacy(path: Path) -> tuple[Any, Reader]:
    """Open a file that PyTorch before 1.6 saved.

    Returns:
        As `open_zip`.

    Raises:
        CheckpointError: The file is damaged or of another kind.
    """
    size = path.stat().st_size
    places: dict[str, tuple[int, int]] = {}
    with path.open("rb") as file:
        if read_pickle(file) != _MAGIC or read_pickle(file) != _PROTOCOL:
            raise refused(
                "a pickle that torch.save has not written",
                "Save it with torch.save, or as safetensors",
            )
        system = read_pickle(file)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise refused("numbers in big-endian order")
        content = read_pickle(file)
        keys = read_pickle(file)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise refused("no list of storages")
        sizes = _element_sizes(content)
        for key in keys:
            header = file.read(_COUNT.size)
            count = _COUNT.unpack(header)[0] if len(header) == _COUNT.size else -1
            length = count * sizes.get(key, 1)
            start = file.tell()
            if count < 0 or key in places or start + length > size:
                raise refused(f"storage {key[:80]!r}, which goes beyond the end of the file")
            places[key] = (start, length)
            file.seek(start + length)
        if file.tell() != size:
            raise refused(f"{size - file.tell()} bytes after the last storage")

    def read(storage: Storage) -> bytes:
        if storage.key not in places:
            raise refused(f"a tensor of a storage {storage.key[:80]!r} that is not in the file")
        start, length = places[storage.key]
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    return content, read


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of an archive, which torch.save stores uncompressed."""
    infos = archive.infolist()
    entries = {info.filename: info for info in infos}
    if len(infos) > _MAXIMUM_ENTRIES or len(entries) != len(infos):
        raise refused(f"an archive of {len(infos):,} files, {len(entries):,} names")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise refused("an archive with compressed or encrypted files")
    if sum(info.file_size for info in infos) > size:
        raise refused("an archive whose files share bytes")
    return entries


def _element_sizes(content: Any) -> dict[str, int]:
    """Return the bytes of an element of each storage that a tensor uses."""
    sizes: dict[str, int] = {}
    for tensor in tensors_within(content):
        storage = tensor.storage
        element = storage.size // storage.count if storage.count else 1
        if sizes.setdefault(storage.key, element) != element:
            raise CheckpointError(
                "The checkpoint cannot be read",
                expected="one type of element in each storage",
                received=f"two in storage {storage.key[:80]!r}",
            )
    return sizes
