"""Filled sheets as Markdown and as pages."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

from mammo_core.errors import RecipeError
from mammo_core.registry.sheets.claim import CLAIM
from mammo_core.registry.sheets.model_card import MODEL_CARD
from mammo_core.registry.sheets.sheet import Answer, FilledSheet, Sheet
from mammo_core.registry.sheets.tripod_ai import TRIPOD_AI

#: The sheets by name.
SHEETS: Final[dict[str, Sheet]] = {sheet.name: sheet for sheet in (TRIPOD_AI, CLAIM, MODEL_CARD)}


def chosen_sheets(name: str) -> list[Sheet]:
    """Return the sheet of a name, or all of them for `all`.

    Raises:
        RecipeError: There is no such sheet.
    """
    if name == "all":
        return list(SHEETS.values())
    if name not in SHEETS:
        raise RecipeError(
            "There is no such reporting sheet",
            expected=f"one of {', '.join(SHEETS)}, or all",
            received=repr(name),
        )
    return [SHEETS[name]]


def write_sheets(filled: Iterable[FilledSheet], folder: Path) -> list[Path]:
    """Write sheets as HTML and Markdown; return the files.

    Args:
        filled: The sheets with their answers.
        folder: Where they go; it is created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for each in filled:
        for ending, text in (("html", to_html(each)), ("md", to_markdown(each))):
            paths.append(folder / f"{each.sheet.name}.{ending}")
            paths[-1].write_text(text, encoding="utf-8", newline="\n")
    return paths


def to_markdown(filled: FilledSheet) -> str:
    """Return a filled sheet as Markdown.

    Args:
        filled: The sheet with its answers.
    """
    lines = [f"# {filled.sheet.title}: {filled.model}", "", _introduction(filled), ""]
    for section, rows in groupby(filled.rows, key=lambda row: row[0].section):
        lines += [f"## {section}", "", "| item | topic | answer |", "|---|---|---|"]
        for item, answer in rows:
            lines.append(f"| {item.number} | {item.topic} | {_cell(_text(answer))} |")
        lines.append("")
    return "\n".join(lines)


def to_html(filled: FilledSheet) -> str:
    """Return a filled sheet as an HTML page that needs no other file.

    Args:
        filled: The sheet with its answers.
    """
    from mammo_core.reporting import Page, Table

    page = Page(f"{filled.sheet.title}", filled.model)
    page.text(_introduction(filled))
    for section, rows in groupby(filled.rows, key=lambda row: row[0].section):
        cells = tuple((item.number, item.topic, _text(answer)) for item, answer in rows)
        page.section(section).table(Table(("item", "topic", "answer"), cells))
    return page.html()


def _introduction(filled: FilledSheet) -> str:
    return (
        f"{filled.available} of {len(filled.rows)} items are answered from the package of the "
        "model and from what people state; the others say why they are not available. Numbers and "
        f"topics follow {filled.sheet.source}; the wording is not that of the guideline. Research "
        "use only; not a medical device."
    )


def _text(answer: Answer) -> str:
    return answer.text or f"Not available: {answer.why}."


def _cell(text: str) -> str:
    """Return a text as a cell of a table in Markdown, in which HTML of a source does nothing."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return escaped.replace("\n", "<br>")
