"""`mammo pipeline …`."""

import typer

from pipelines.cli import compiling, ending, looking, running, scheduling

app = typer.Typer(no_args_is_help=True, help="Compile, submit and follow the pipelines.")
app.command("compile")(compiling.compile_)
app.command("upload")(compiling.upload)
app.command("run")(running.run)
app.command("status")(looking.status)
app.command("wait")(looking.wait)
app.command("logs")(looking.logs)
app.command("list")(looking.list_)
app.command("terminate")(ending.terminate)
app.command("retry")(ending.retry)
app.command("archive")(ending.archive)
app.add_typer(scheduling.app, name="schedule", help="Recurring runs.")


@app.callback()
def _group() -> None:
    """Compile, submit and follow the pipelines."""
