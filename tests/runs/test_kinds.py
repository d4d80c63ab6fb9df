"""Keys of the store are spelled in one place: by their kind, by the run, or by the registry."""

import ast
import re
from pathlib import Path

import pytest

from mammo_core.runs.kinds import KINDS

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("mammo_core", "components", "pipelines", "benchmarks")
    for path in (REPOSITORY / folder).rglob("*.py")
)
#: First part of keys → where it may be spelled.
OWNERS = {
    **dict.fromkeys((folder.split("/")[0] for folder in KINDS), "/kinds.py"),
    "runs": "mammo_core/runs/run.py",
    "models": "mammo_core/registry/",
    "features": "mammo_core/features/",
}
#: Files with the same words in other names: REST paths, folders of a source, and the roles, whose
#: places tests/pipelines/test_roles.py compares with the kinds.
OTHERS = (
    *("mammo_core/serving/", "mammo_core/tracking/", "pipelines/run_requests.py"),
    *("pipelines/roles.py", "pipelines/score.py", "pipelines/transfer.py"),
    "mammo_core/phantom/layouts/",
    *("mammo_core/sources/adapters/cbis_ddsm/", "mammo_core/features/publish.py"),
)
#: A key or a part of one: a folder and what is in it.
KEY = re.compile(rf"(?:^|/)({'|'.join(sorted(OWNERS))})/")


def spelled_keys(source):
    """Return the first parts of keys that a Python source spells, outside of prose."""
    tree = ast.parse(source)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]
    keys = {match[1] for text in texts if " " not in text for match in KEY.finditer(text)}
    return keys | {text.split("/")[0] for text in texts if text in KINDS and "/" in text}


def test_a_key_is_spelled_by_its_owner_alone():
    sources = {path.relative_to(REPOSITORY).as_posix(): path.read_text() for path in FILES}
    assert not [
        (name, part)
        for name, source in sources.items()
        if not name.startswith(OTHERS)
        for part in spelled_keys(source)
        if OWNERS[part] not in name
    ]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("key = 'tables/file-facts'", "tables"),
        ("find(store, 'datasets/images', id)", "datasets"),
        ("store.read(f'runs/{id}/recipe.json')", "runs"),
        ("uri = f'{store.uri}/models/{name}'", "models"),
        ("store.list('frames/')", "frames"),
    ],
)
def test_spelled_keys_are_found(source, part):
    assert spelled_keys(source) == {part}


def test_prose_and_columns_are_no_keys():
    assert not spelled_keys('"""Files are in tables/<id>/."""\nrow["tables"] = columns["frames"]')
