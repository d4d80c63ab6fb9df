from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mammo_core.cli.phantom import app
from mammo_core.errors import RecipeError
from mammo_core.phantom import PhantomConfig

mammo = typer.Typer()
mammo.add_typer(app, name="phantom")


def run(*words: str) -> str:
    result = CliRunner().invoke(mammo, ["phantom", "create", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_create_twice(tmp_path: Path) -> None:
    words = (str(tmp_path), "--patients", "2", "--size", "96x72", "--workers", "1")
    assert "2 patients" in run(*words)
    assert "already complete" in run(*words)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--size", "50x40"),
        ("--size", "large"),
        ("--patients", "0"),
        ("--layout", "flat"),
        ("--workers", "0"),
        ("--difficulty", "2"),
    ],
)
def test_wrong_options_end_with_exit_code_two(tmp_path: Path, wrong: tuple[str, str]) -> None:
    with pytest.raises(RecipeError) as caught:
        run(str(tmp_path / "new"), *wrong)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_the_defaults_are_those_of_the_library(tmp_path: Path) -> None:
    command = typer.main.get_command(app).commands["create"]  # type: ignore[attr-defined]
    flags = {option.name: option.default for option in command.params}
    config = PhantomConfig()
    assert flags["size"] == f"{config.height}x{config.width}"
    for name in ("patients", "seed", "layout", "difficulty"):
        assert flags[name] == getattr(config, name)
