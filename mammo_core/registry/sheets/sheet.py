"""A reporting sheet: numbered items, each answered from the package or not available."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammo_core.registry.sheets.evidence import Evidence


@dataclass(frozen=True)
class Answer:
    """The answer to an item.

    Attributes:
        text: What is known; empty: nothing.
        why: Why it is not available; empty if it is.
    """

    text: str = ""
    why: str = ""


Fill = Callable[[Evidence], Answer]


@dataclass(frozen=True)
class Item:
    """An item of a sheet.

    Attributes:
        number: Its number in the guideline.
        section: The part of a report that it belongs to.
        topic: What is asked for, in our words.
        fill: Answers it from the package; None: only people can.
        statement: Key of the statement that answers or completes it; empty if there is none.
    """

    number: str
    section: str
    topic: str
    fill: Fill | None = None
    statement: str = ""


@dataclass(frozen=True)
class Sheet:
    """A reporting guideline.

    Attributes:
        name: Its name in file names and options.
        title: Its title.
        source: Where the guideline was published.
        items: Its items, in its order.
    """

    name: str
    title: str
    source: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class FilledSheet:
    """A sheet with its answers.

    Attributes:
        sheet: The guideline.
        model: The model, in words.
        rows: Each item with its answer.
    """

    sheet: Sheet
    model: str
    rows: tuple[tuple[Item, Answer], ...]

    @property
    def available(self) -> int:
        """Number of items that are answered."""
        return sum(not answer.why for _, answer in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {
            "sheet": self.sheet.name,
            "title": self.sheet.title,
            "source": self.sheet.source,
            "model": self.model,
            "available": self.available,
            "items": [
                {
                    "number": item.number,
                    "section": item.section,
                    "topic": item.topic,
                    "answer": answer.text,
                    "not_available": answer.why,
                }
                for item, answer in self.rows
            ],
        }


def fill(sheet: Sheet, evidence: Evidence) -> FilledSheet:
    """Answer every item of a sheet.

    Args:
        sheet: The guideline.
        evidence: What the package says, and what people state.
    """
    rows = tuple((item, answer_to(item, evidence)) for item in sheet.items)
    release = evidence.release
    version = f", version {release.version}" if release is not None else ", not released"
    name = release.name if release is not None else evidence.package.name
    return FilledSheet(sheet, f"{name}{version} (model id {evidence.package.model_id})", rows)


def answer_to(item: Item, evidence: Evidence) -> Answer:
    """Return what is known about an item: from the package, then what people state.

    Args:
        item: The item.
        evidence: What the package says, and what people state.
    """
    known = item.fill(evidence) if item.fill is not None else Answer()
    stated = str(getattr(evidence.statements, item.statement)).strip() if item.statement else ""
    if known.text or stated:
        return Answer(text="\n".join(filter(None, (known.text, stated))))
    whys = [known.why or "no run records it"]
    if item.statement:
        whys.append(f"state it as `{item.statement}` (--statements)")
    return Answer(why="; ".join(whys))


def listed(lines: Sequence[str]) -> str:
    """Return lines as one text; empty lines are left out."""
    return "\n".join(line for line in lines if line)


def pairs(values: Mapping[str, Any]) -> str:
    """Return names and values in a line: `train 12, test 8`."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
