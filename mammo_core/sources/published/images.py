"""The image files of a published data set, found by the names that its tables give them."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from mammo_core.sources.files.image_files import JPEG_SUFFIXES, SUFFIXES
from mammo_core.sources.files.source_files import SourceFiles

_DICOM: Final = (".dcm", ".dicom")


def stem_of(path: str) -> str:
    """Return the name of a file without its folders and its ending.

    Args:
        path: As a table or a listing writes it, also with the folders of Windows.
    """
    name = path.replace("\\", "/").rsplit("/", 1)[-1].strip()
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in (*SUFFIXES, *JPEG_SUFFIXES) else name


class ImageFinder:
    """Finds images at any depth, in any folders, as DICOM files or pictures.

    Args:
        files: The files under the root; None finds nothing, for a check of the tables alone.
        key: Turns the name of a file without its ending into what tables call the image.
    """

    def __init__(
        self, files: SourceFiles | None, key: Callable[[str], str] = lambda stem: stem
    ) -> None:
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._used: set[str] = set()
        endings = (*SUFFIXES, *JPEG_SUFFIXES) if files and files.lossy_jpeg else SUFFIXES
        for path in files.names() if files is not None else ():
            if path.lower().endswith(endings):
                self._by_key[key(stem_of(path))].append(path)

    def find(self, name: str, folders: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the files of an image: DICOM files before pictures of them.

        Args:
            name: What the tables call the image.
            folders: Names of folders above it; files in all of them come before others.
        """
        paths = self._by_key.get(name, [])
        if len(paths) > 1:
            inside = [path for path in paths if set(folders) <= set(path.split("/")[:-1])]
            paths = inside or paths
            paths = [path for path in paths if path.lower().endswith(_DICOM)] or paths
        self._used.add(name)
        return tuple(paths)

    @property
    def unnamed(self) -> int:
        """Files that no row has asked for."""
        return sum(len(paths) for key, paths in self._by_key.items() if key not in self._used)
