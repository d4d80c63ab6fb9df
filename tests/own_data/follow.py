"""Follow docs/own-data.md, command by command, with a hospital's archive made of a phantom.

python -m tests.own_data.follow [FOLDER] runs every command of the page but the training of the real
networks, in FOLDER or in a temporary one, and prints what was pushed and scored (`make
verify-own-data`).
"""

import csv
import itertools
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.hospital import write_hospital

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-data.md"


def commands() -> list[list[str]]:
    """The commands of the page, in order."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("mammo ")]


def overrides(command: list[str]) -> list[str]:
    """The settings of a command of `mammo pipeline run`, as `load_recipe` takes them."""
    pairs = list(itertools.pairwise(command))
    source = [f"source.root={value}" for name, value in pairs if name == "--source"]
    return source + [value for name, value in pairs if name == "--set"]


def follow(folder: Path) -> dict[str, object]:
    """Run the commands in a folder with the archive; return what came out."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
    environment["PYTHONPATH"] = str(ROOT)
    environment.pop("MAMMO_SITE_KEY", None)
    start = [sys.executable, "-c", "from mammo_core.cli import main; main()"]
    for command in commands():
        if "own_data" in command:  # the real networks
            continue
        began = time.monotonic()
        print("$", shlex.join(command), flush=True)
        subprocess.run([*start, *command[1:]], cwd=folder, env=environment, check=True)
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    with (folder / "scores.csv").open(encoding="utf-8") as file:
        scores = list(csv.DictReader(file))
    return {"versions": len(list((folder / "store/models").glob("*/1"))), "scores": len(scores)}


def main() -> None:
    """Write the archive and follow the page."""
    with tempfile.TemporaryDirectory(prefix="mammo-own-data-") as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        if not (folder / "befunde.csv").exists():
            print(write_hospital(folder), "files are missing")
        result = follow(folder)
    print(result)
    if result["versions"] != 1 or not result["scores"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
