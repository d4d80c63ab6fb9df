"""The documentation: what the code cites exists, and links lead somewhere."""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
_CITATION = re.compile(r'docs/original-system[.]md,\s+(?:#\s*)?"([^"]+)"')
_LINK = re.compile(r"\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)")


def tracked(*patterns: str) -> list[Path]:
    line = ["git", "ls-files", *patterns]
    names = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [
        REPOSITORY / name for name in names.stdout.splitlines() if (REPOSITORY / name).is_file()
    ]


def test_every_cited_heading_of_the_original_exists():
    text = (REPOSITORY / "docs" / "original-system.md").read_text()
    headings = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    cited = {
        (" ".join(heading.replace("#", " ").split()), str(path.relative_to(REPOSITORY)))
        for path in tracked("*.py")
        for heading in _CITATION.findall(path.read_text())
    }
    assert len(cited) > 20
    assert {pair for pair in cited if pair[0] not in headings} == set()


def test_every_relative_link_leads_to_a_file():
    broken = {
        f"{path.relative_to(REPOSITORY)}: {target}"
        for path in tracked("*.md")
        for target in _LINK.findall(path.read_text())
        if not (path.parent / target).exists()
    }
    assert broken == set()
