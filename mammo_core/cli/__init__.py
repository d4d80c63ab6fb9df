"""The command `mammo`."""

import errno
import os
import signal
import sys
import traceback
from importlib.metadata import entry_points

import typer

from mammo_core.cli import (
    accept,
    dicom,
    experiment,
    export,
    features,
    ingest,
    models,
    monitor,
    phantom,
    readers,
    reproduce,
    score,
    serve,
    sources,
    store,
)
from mammo_core.errors import MammoError
from mammo_core.processes import follow_parent
from mammo_core.store.temporary import use_private_folder

_DEBUG = "MAMMO_DEBUG"


def create_app() -> typer.Typer:
    """Return the command with all of its groups, those of other packages included."""
    app = typer.Typer(
        name="mammo",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Mammograms in, an evaluated and versioned breast-cancer classifier out. "
        "Research use only; not a medical device. --debug anywhere shows tracebacks.",
    )
    app.add_typer(phantom.app, name="phantom", help="Synthetic mammograms.")
    app.add_typer(dicom.app, name="dicom", help="Inspect DICOM files.")
    app.add_typer(sources.app, name="sources", help="Case tables and image trees.")
    app.add_typer(store.app, name="store", help="The object store.")
    app.add_typer(features.app, name="features", help="The feature store and its frames.")
    app.add_typer(experiment.app, name="experiment", help=experiment.app.info.help)
    app.add_typer(models.app, name="models", help="Published model packages.")
    app.add_typer(readers.app, name="readers", help="Studies with readers.")
    app.command("convert")(ingest.convert)
    app.command("sample")(ingest.sample)
    app.command("export")(export.export)
    app.command("accept")(accept.accept)
    app.command("score")(score.score)
    app.command("reproduce")(reproduce.reproduce)
    app.command("serve")(serve.serve)
    app.command("monitor")(monitor.monitor)
    # `mammo pipeline` needs KFP, which the library never imports; it is added by name.
    for entry in entry_points(group="mammo.commands"):
        app.add_typer(entry.load(), name=entry.name)
    return app


def main() -> None:
    """Run the command line: exit code 2 for wrong usage, 1 for any other failure.

    A failure is printed as one line; `--debug` anywhere also prints its traceback.
    """
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[_DEBUG] = "1"
    signal.signal(signal.SIGINT, _exit_on_interrupt)
    try:
        follow_parent()
        use_private_folder()
        create_app()()  # shows wrong usage itself, with exit code 2
    except MammoError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(_describe_os_error(error), 1)
    except Exception as error:
        _fail(
            f"{type(error).__name__}: {error} (a bug; --debug shows the traceback)",
            1,
        )


def _exit_on_interrupt(*_: object) -> None:
    print("interrupted: run the same command again to resume", file=sys.stderr)
    os._exit(130)


def _fail(message: str, code: int) -> None:
    if os.environ.get(_DEBUG) == "1":
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def _describe_os_error(error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    where = f" {error.filename}" if error.filename else ""
    return (
        f"Reading or writing{where} failed. Expected "
        f"{'space on the disk' if full else 'a file or folder that can be used'}. "
        f"Received {error.strerror or error}."
    )
