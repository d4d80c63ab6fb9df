"""The reference of the commands and the table of resources: complete, and up to date in docs/."""

import re

import pytest
import typer
import yaml

from mammo_core.cli import create_app
from mammo_core.cli.reference import command_reference
from pipelines.compiled import COMMITTED, PIPELINES
from pipelines.reference import pages, resource_table


@pytest.fixture(scope="module")
def commands():
    return command_reference(create_app())


@pytest.mark.parametrize("page", ["cli.md", "cluster.md", "recipes.md", "security.md"])
def test_docs_are_up_to_date(page):
    path, text = next(item for item in pages().items() if item[0].name == page)
    assert path.read_text(encoding="utf-8") == text, "run `make reference`"


@pytest.mark.parametrize(
    "line",
    [
        "### `mammo phantom create FOLDER`",
        "### `mammo pipeline schedule delete NAME`",
        "| `FOLDER` | path | required | New, empty, or to be resumed. |",
        "| `--batch-size` | integer, ≥ 1 | `8` | Images per batch of the network. |",
        "| `--verify-tls`, `--no-verify-tls` | flag |  | Whether to verify the certificate of the "
        "server. |",
        "| `--local` | flag | off | Run on this machine. |",
    ],
)
def test_commands_have_their_arguments_options_types_and_defaults(commands, line):
    assert line in commands.splitlines()


def test_every_command_argument_and_option_has_a_meaning(commands):
    rows = [line for line in commands.splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    assert not [row for row in rows if row.endswith("|  |")]
    sections = commands.split("\n#")
    assert not [section for section in sections if "\n\n" not in section.strip()]


def test_types_of_a_command():
    app = typer.Typer(name="x")

    @app.command()
    def show(names: list[str], at: float = typer.Option(1.5, min=0, envvar="X_AT", help="A|b.")):
        """Show <names>."""

    @app.command(hidden=True)
    def other() -> None:
        """Not shown."""

    text = command_reference(app)
    assert text.startswith("## `x show NAMES...`\n\nShow \\<names>.\n\n")
    assert "| `NAMES` | text, repeatable | required |" in text
    assert "| `--at` | number, ≥ 0 | `1.5` | A\\|b. Environment variable: `X_AT`. |" in text
    assert "other" not in text


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_of_a_pipeline_is_in_the_table(name):
    spec, _ = yaml.safe_load_all((COMMITTED / f"{name}.yaml").read_text())
    executors = spec["deploymentSpec"]["executors"]
    steps = {re.sub(r"-\d+$", "", executor.removeprefix("exec-")) for executor in executors}
    table = resource_table()
    assert not [step for step in steps if f"| `{step}` |" not in table]


def test_the_secrets_of_a_step_are_in_its_row():
    rows = {line.split("`")[1]: line for line in resource_table().splitlines() if "`" in line}
    assert rows["index"].endswith("| `mammo-s3-data`, `mammo-site-key` |")
    assert rows["train"].startswith("| `train` | 500m | 2G | 48G | yes | 156 | 3 |")
