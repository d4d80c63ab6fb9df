"""What a scoring has done so far, so that the same command goes on where it was stopped."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mammo_core.scoring.files import FoundFile


class Journal:
    """Lines of JSON: a head that says what is scored, then a line per batch.

    A batch counts once its line is whole. Files are scored in order, so what is done is a
    beginning of the list of files; a file that was changed or put in ends it.

    Args:
        path: Of the journal.
        settings: Everything that decides about the result but the files, as plain JSON.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        text = json.dumps(settings, sort_keys=True)
        self._settings = hashlib.sha256(text.encode()).hexdigest()

    def salt(self) -> str | None:
        """Return the salt of the scoring that was stopped; None when there is none to go on."""
        head = next(self._lines(), None)
        known = head is not None and head.get("settings") == self._settings
        return str(head["salt"]) if known and head is not None else None

    def begin(self, files: Sequence[FoundFile], salt: str) -> int:
        """Keep what still holds, and return how many files need not be read again.

        Args:
            files: All files, in order.
            salt: Of the patient keys.
        """
        kept: list[str] = []
        done = 0
        if self.salt() is not None:
            lines = self._lines()
            next(lines)
            for batch in lines:
                members = batch["files"]
                now = [[file.name, file.version] for file in files[done : done + len(members)]]
                if members != now:
                    break
                kept.append(json.dumps(batch))
                done += len(members)
        head = json.dumps({"settings": self._settings, "salt": salt})
        part = self.path.with_name(f"{self.path.name}.part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(f"{line}\n" for line in [head, *kept]), encoding="utf-8")
        part.chmod(0o600)  # keys of patients, and the salt that they were made with
        part.replace(self.path)
        return done

    def add(
        self,
        files: Sequence[FoundFile],
        rows: Sequence[Mapping[str, Any]],
        rejects: Sequence[tuple[str, str]],
        regions: Sequence[Mapping[str, Any]],
    ) -> None:
        """Note that a batch is done."""
        line = {
            "files": [[file.name, file.version] for file in files],
            "rows": list(rows),
            "rejects": list(rejects),
            "regions": list(regions),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def batches(self) -> Iterator[dict[str, Any]]:
        """Yield every batch that is done."""
        lines = self._lines()
        next(lines, None)
        yield from lines

    def remove(self) -> None:
        """Forget it all."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_file():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.endswith("\n"):
                    return  # the process was killed while it wrote
                try:
                    yield json.loads(line)
                except ValueError:
                    return
