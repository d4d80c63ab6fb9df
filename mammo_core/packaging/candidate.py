"""A package as an output: published before anybody has decided about it."""

from pathlib import Path

from mammo_core.datasets import StoredFile
from mammo_core.packaging.signatures.checksums import SUMS, digest, read_sums
from mammo_core.store import Store


def put_package(store: Store, target: str, folder: Path) -> list[StoredFile]:
    """Write the files of a package, which may have gigabytes, as those of an output.

    Args:
        store: The object store.
        target: Folder of the output's files in the store.
        folder: Folder of the package.

    Raises:
        ModelError: Its list of files is damaged.
        StoreError: The store fails.
    """
    listed = read_sums(folder) | {SUMS: digest(folder / SUMS)}
    files = []
    for name, sha256 in sorted(listed.items()):
        key = f"{target}/{name}"
        store.put_file(key, folder / name)
        size = (folder / name).stat().st_size
        files.append(StoredFile(name=name, key=key, sha256=sha256, size=size))
    return files
