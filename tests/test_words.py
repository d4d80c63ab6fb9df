"""The language of the project: plain names, American spelling, one word for one thing.

The lists are in tests/words/; docs/architecture.md explains the vocabulary.
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
LISTS = Path(__file__).parent / "words"
#: Defines the vocabulary, and names what a word does not mean.
VOCABULARY = REPOSITORY / "docs" / "architecture.md"
#: What carries text of ours: code, docs, recipes, manifests, scripts.
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".sh", ".json", ""}
#: Names of Python's own that are British.
OTHERS_NAMES = re.compile(r"\bCancelledError\b|\.cancelled\(\)")
#: Texts that are not ours, or are about the words themselves.
EXEMPT = ("LICENSE", "tests/words/", "tests/test_words.py", "pipelines/yaml/", "requirements/")


def entries(name: str) -> list[str]:
    """The lines of a list, without comments and blanks."""
    lines = (LISTS / name).read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def texts() -> list[Path]:
    """The tracked text files that are held to the lists."""
    line = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    paths = [REPOSITORY / name for name in names.stdout.splitlines()]
    return [
        path
        for path in paths
        if path.suffix in SUFFIXES
        and path.is_file()
        and not str(path.relative_to(REPOSITORY)).startswith(EXEMPT)
    ]


def words_of(line: str) -> list[str]:
    """The lower-case words of a line; identifiers are split at underscores and capitals."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", line)
    return [word.lower() for word in re.findall(r"[A-Za-z]+", spaced)]


def names_of(tree: ast.AST) -> set[tuple[str, int]]:
    """Every name that a module gives to something, with its line."""
    names: set[tuple[str, int]] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add((node.name, node.lineno))
        elif isinstance(node, ast.arg):
            names.add((node.arg, node.lineno))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add((node.id, node.lineno))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add((node.attr, node.lineno))
        elif isinstance(node, ast.alias) and node.asname:
            names.add((node.asname, node.lineno))
    return names


def banned_names(source: str, banned: set[str]) -> list[str]:
    """`line: name` of each banned name in a module."""
    names = names_of(ast.parse(source))
    return [
        f"{line}: {name}"
        for name, line in sorted(names, key=lambda pair: (pair[1], pair[0]))
        if name.strip("_") in banned
    ]


def british_words(text: str, spellings: re.Pattern[str]) -> list[str]:
    """`line: word` of each British spelling in a text."""
    return [
        f"{number}: {word}"
        for number, line in enumerate(text.splitlines(), 1)
        for word in words_of(OTHERS_NAMES.sub("", line))
        if spellings.fullmatch(word)
    ]


def matching_lines(text: str, pattern: re.Pattern[str]) -> list[str]:
    """`line: text` of each line that matches."""
    return [
        f"{number}: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def _report(problems: dict[Path, list[str]]) -> str:
    rows = [
        f"{path.relative_to(REPOSITORY)}:{row}" for path, rows in problems.items() for row in rows
    ]
    return f"{len(rows)} in {len(problems)} files\n" + "\n".join(rows[:60])


def test_no_name_is_banned():
    banned = set(entries("banned-names.txt"))
    problems = {
        path: rows
        for path in texts()
        if path.suffix == ".py" and (rows := banned_names(path.read_text(), banned))
    }
    assert not problems, _report(problems)


def test_the_spelling_is_american():
    spellings = re.compile("|".join(f"(?:{entry})" for entry in entries("british.txt")))
    problems = {
        path: rows for path in texts() if (rows := british_words(path.read_text(), spellings))
    }
    assert not problems, _report(problems)


@pytest.mark.parametrize("pattern", entries("banned-words.txt"))
def test_no_phrase_is_banned(pattern):
    expression = re.compile(pattern, re.IGNORECASE)
    problems = {
        path: rows
        for path in texts()
        if path.suffix in {".py", ".md"} and (rows := matching_lines(path.read_text(), expression))
    }
    assert not problems, _report(problems)


@pytest.mark.parametrize("entry", entries("vocabulary.txt"), ids=lambda entry: entry.split("\t")[0])
def test_a_word_of_the_vocabulary_means_one_thing(entry):
    pattern, instead = entry.split("\t")
    expression = re.compile(pattern)
    problems = {
        path: rows
        for path in texts()
        if path.suffix in {".py", ".md"}
        and path != VOCABULARY
        and (rows := matching_lines(path.read_text(), expression))
    }
    assert not problems, f"{instead}: {_report(problems)}"


def test_the_checks_notice_what_they_look_for():
    banned = {"qux", "quux"}
    source = "def _qux(quux):\n    x = quux\n    self.qux = x\n    return lambda ok: ok\n"
    assert banned_names(source, banned) == ["1: _qux", "1: quux", "3: qux"]
    spellings = re.compile("tumour|behaviour\\w*")
    assert british_words("a tumourBehaviours\nto_tumour = 1  # tumor\n", spellings) == [
        "1: tumour",
        "1: behaviours",
        "2: tumour",
    ]
    assert matching_lines("a\nclass Exam:\n", re.compile(r"\bclass Exam\b")) == ["2: class Exam:"]
