"""A self-contained HTML page: no network, no script, embedded images."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

_SHORT = 24
"""Cells up to this length are kept on one line, such as a value with its interval."""

NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        columns: Names, in order.
        rows: Cells; numbers are aligned to the right.
        note: A line below the table, for instance how many rows are omitted.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    @classmethod
    def from_records(
        cls,
        records: Iterable[Mapping[str, Any]],
        columns: Sequence[str] | None = None,
        *,
        limit: int = 200,
    ) -> "Table":
        """Make a table from records.

        Args:
            records: One mapping per row; a missing key is an empty cell.
            columns: Names, in order; by default every key, in order of appearance.
            limit: Rows to keep; the note says how many there are.
        """
        kept = list(records)
        names = tuple(columns or dict.fromkeys(key for record in kept for key in record))
        rows = tuple(tuple(record.get(name, "") for name in names) for record in kept[:limit])
        note = f"The first {limit} of {len(kept):,} rows." if len(kept) > limit else ""
        return cls(names, rows, note)


class Page:
    """A page that is built from top to bottom.

    Args:
        title: Title of the document.
        subtitle: A line below it.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self._title = title
        self._subtitle = subtitle
        self._sections: list[dict[str, Any]] = []

    def section(self, heading: str, text: str = "") -> "Page":
        """Start a section; returns the page."""
        self._sections.append({"heading": heading, "text": text, "blocks": []})
        return self

    def text(self, text: str) -> "Page":
        """Add a paragraph; returns the page."""
        return self._add("text", text=text)

    def warning(self, text: str) -> "Page":
        """Add a paragraph that stands out; returns the page."""
        return self._add("warning", text=text)

    def facts(self, facts: Mapping[str, Any]) -> "Page":
        """Add names with values, one per line; returns the page."""
        return self._add(
            "facts", facts={name: format_value(value) for name, value in facts.items()}
        )

    def numbers(self, numbers: Mapping[str, tuple[Any, str]]) -> "Page":
        """Add large numbers: for every name the value and a line below; returns the page."""
        items = [(name, format_value(value), below) for name, (value, below) in numbers.items()]
        return self._add("numbers", items=items)

    def table(self, table: Table) -> "Page":
        """Add a table; returns the page."""
        rows = [[(format_value(cell), _cell_class(cell)) for cell in row] for row in table.rows]
        numeric = [
            bool(rows) and all(row[column][1] == "number" for row in rows)
            for column in range(len(table.columns))
        ]
        heads = list(zip(table.columns, numeric, strict=True))
        return self._add("table", heads=heads, rows=rows, note=table.note)

    def figure(self, png: bytes, caption: str, *, wide: bool = True) -> "Page":
        """Add a PNG image with a caption (also its text for screen readers).

        Args:
            png: PNG bytes.
            caption: Below the image.
            wide: Whether it takes the whole width; narrow figures are placed side by side.

        Returns:
            The page.
        """
        source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        return self._add("figure", source=source, caption=caption, wide=wide)

    def html(self) -> str:
        """Return the whole page. All content is escaped."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("mammo_core.reporting"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("page.html").render(
            title=self._title, subtitle=self._subtitle, sections=self._sections, notice=NOTICE
        )

    def _add(self, kind: str, **content: Any) -> "Page":
        if not self._sections:
            self.section("")
        self._sections[-1]["blocks"].append({"kind": kind, **content})
        return self


def format_value(value: Any) -> str:
    """Return a value as text: 3 decimals, separated thousands, a dash for a missing value."""
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return f"{float(value):.3f}" if abs(float(value)) < 1000 else f"{float(value):,.0f}"
    return str(value)


def _cell_class(value: Any) -> str:
    if value is None or (isinstance(value, Real) and not isinstance(value, bool)):
        return "number"
    return "short" if len(str(value)) <= _SHORT else ""
