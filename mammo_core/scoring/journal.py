"""The progress of a scoring run, so that the same command can resume it."""

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mammo_core.errors import RecordError
from mammo_core.scoring.files import InputFile


class Journal:
    """A file with lines of JSON: a header with the settings, then one line per batch.

    A batch counts when its line is complete. Files are scored in order, so the completed files
    are the first ones of the list, up to a file that was changed or inserted.

    Args:
        path: Path of the journal.
        settings: Everything but the files that determines the result, as plain JSON.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        text = json.dumps(settings, sort_keys=True)
        self._settings = hashlib.sha256(text.encode()).hexdigest()

    def salt(self) -> str | None:
        """Return the salt of the interrupted run; None if there is no run to resume."""
        head = next(self._lines(), None)
        if head is None or head.get("settings") != self._settings:
            return None
        return str(head["salt"])

    def began(self) -> str:
        """Return when the run began, resumed or not: ISO 8601 with the offset of this machine.

        Raises:
            RecordError: There is no run.
        """
        head = next(self._lines(), None)
        if head is None:
            raise RecordError(
                f"The journal {self.path.name} has no run", expected="a header", received="none"
            )
        return str(head["began"])

    def start(self, files: Sequence[InputFile], salt: str) -> int:
        """Keep the batches that are still valid; return the number of files in them.

        Args:
            files: All files, in order.
            salt: The salt of the patient keys.
        """
        kept: list[str] = []
        done = 0
        began = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        if self.salt() is not None:
            lines = self._lines()
            began = next(lines).get("began", began)
            for batch in lines:
                scored = batch["files"]
                now = [[file.name, file.version] for file in files[done : done + len(scored)]]
                if scored != now:
                    break
                kept.append(json.dumps(batch))
                done += len(scored)
        head = json.dumps({"settings": self._settings, "salt": salt, "began": began})
        part = self.path.with_name(f"{self.path.name}.part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(f"{line}\n" for line in [head, *kept]), encoding="utf-8")
        part.chmod(0o600)  # it contains keys of patients and their salt
        part.replace(self.path)
        return done

    def add(
        self,
        files: Sequence[InputFile],
        rows: Sequence[Mapping[str, Any]],
        rejects: Sequence[tuple[str, str]],
        regions: Sequence[Mapping[str, Any]],
    ) -> None:
        """Record a completed batch."""
        line = {
            "files": [[file.name, file.version] for file in files],
            "rows": list(rows),
            "rejects": list(rejects),
            "regions": list(regions),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def batches(self) -> Iterator[dict[str, Any]]:
        """Yield every completed batch."""
        lines = self._lines()
        next(lines, None)
        yield from lines

    def remove(self) -> None:
        """Delete the journal."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_file():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.endswith("\n"):
                    return  # the process was killed while it wrote this line
                try:
                    yield json.loads(line)
                except ValueError:
                    return
