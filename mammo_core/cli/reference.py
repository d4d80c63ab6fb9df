"""The reference of all commands of `mammo`, in Markdown: docs/cli.md contains it."""

import enum
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

COMMANDS = "commands"
_NAMES = {int: "integer", float: "number", str: "text", Path: "path"}


def command_reference(app: typer.Typer) -> str:
    """Return the reference of all commands of an app, with their arguments and options.

    Args:
        app: The app, with all of its groups.
    """
    command: Any = typer.main.get_command(app)
    return "\n\n".join(_sections(command, str(command.name)))


def _sections(command: Any, path: str) -> Iterator[str]:
    """Yield a section for each command: those of a group come after its heading."""
    level = "###" if " " in path else "##"
    items = {name: item for name, item in command.commands.items() if not item.hidden}
    for name, item in items.items():
        if not _is_group(item):
            yield _section(item, f"{path} {name}", level)
    for name, item in items.items():
        if _is_group(item):
            yield f"{level} `{path} {name}`\n\n{_text(item.help)}"
            yield from _sections(item, f"{path} {name}")


def _is_group(command: Any) -> bool:
    return hasattr(command, "commands")


def _section(command: Any, path: str, level: str) -> str:
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=False)
    parameters = [item for item in command.params if item.name != "help" and not item.hidden]
    arguments = [item for item in parameters if item.param_type_name == "argument"]
    options = [item for item in parameters if item.param_type_name == "option"]
    usage = " ".join([path, *(_usage(item) for item in arguments)])
    parts = [f"{level} `{usage}`", _text(command.help)]
    if arguments:
        parts.append(_table("argument", arguments, hints))
    if options:
        parts.append(_table("option", options, hints))
    return "\n\n".join(parts)


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _table(kind: str, parameters: list[Any], hints: dict[str, Any]) -> str:
    rows = [
        " | ".join(
            cell.replace("|", "\\|")
            for cell in (
                _names(item),
                _type_text(hints[item.name], item),
                _default_text(item),
                _meaning(item),
            )
        )
        for item in parameters
    ]
    header = f"| {kind} | type | default | meaning |\n|---|---|---|---|"
    return "\n".join([header, *(f"| {row} |" for row in rows)])


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _type_text(hint: Any, parameter: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _type_text(arguments[0], parameter)
    if origin in (Union, types.UnionType):
        return _type_text(next(item for item in arguments if item is not type(None)), parameter)
    if origin in (list, tuple):
        return f"{_type_text(arguments[0], parameter)}, repeatable"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if hint is bool:
        return "flag"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ", ".join(f"`{item.value}`" for item in hint)
    limits = [
        f"{sign} {limit:g}"
        for sign, limit in (("≥", parameter.min), ("≤", parameter.max))
        if limit is not None
    ]
    return ", ".join([_NAMES[hint], *limits])


def _default_text(parameter: Any) -> str:
    default = parameter.default
    if parameter.required:
        return "required"
    if isinstance(default, bool):
        names = parameter.opts if default else parameter.secondary_opts
        return f"`{names[0]}`" if parameter.secondary_opts else ("on" if default else "off")
    if default is None or default in ("", (), []):
        return ""
    return f"`{default.value if isinstance(default, enum.Enum) else default}`"


def _meaning(parameter: Any) -> str:
    text = _text(parameter.help)
    if parameter.envvar:
        text = f"{text} Environment variable: `{parameter.envvar}`."
    return text


def _text(text: str | None) -> str:
    """Return paragraphs, each in one line."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    lines = (re.sub(r"\s+", " ", paragraph).strip() for paragraph in paragraphs)
    return "\n\n".join(lines).replace("<", "\\<")
