"""How a table of your own is read: which column is what, and what its cells mean."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

_DATE_PARTS: Final = {"YYYY": r"(?P<year>\d{4})", "MM": r"(?P<month>\d{1,2})",
                      "DD": r"(?P<day>\d{1,2})"}  # fmt: skip
_TIME: Final = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?"


def _as_text(value: Any) -> Any:
    """Return a number of YAML as text; a truth value is refused, because `no` is one in YAML."""
    if isinstance(value, bool):
        raise ValueError("quote words that YAML takes for true or false, such as 'no' and 'yes'")
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_as_text)]
Encoding = Literal["utf-8", "cp1252", "iso-8859-1", "iso-8859-15", "utf-16"]


class TableMapping(BaseModel):
    """How the columns and cells of a table are read.

    Args:
        columns: Column of the table → what it is (`patient_id`), or a list of what it is.
        values: What a column is → its cell → the cell that it means; neither case nor
            underscores of cells count.
        constants: What the table lacks → the cell of all its rows, such as `view: MLO`.
        ignore: Columns that are not read; with `*`, those that are not known.
        paths: `image_path` or `lesion_mask` → how the path is made of columns, such as
            `{patient_id}/{image_id}.dcm`; `{image_id:0>5}` fills with zeros to 5 digits.
        boxes: The four numbers of `lesion_box`: left, top, width, height (`xywh`); left, top,
            right, bottom (`xyxy`); top, left, bottom, right (`yxyx`); center and size as shares of
            the image (`yolo`).
        dates: How dates are written, of YYYY, MM and DD; YYYY-MM-DD is always read.
        encoding: How the text of a CSV file is encoded.
        sheet: Sheet of a workbook; empty: its first.
        patient_ids_in_paths: Accept image and mask paths that contain the patient id. Paths
            are written into tables, manifests and messages.
        missing_files: What is done with rows whose image file does not exist: `reject` (a fault),
            or `leave_out` (counted, cause `missing_file`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[Text, Text | tuple[Text, ...]] = {}
    values: dict[Text, dict[Text, Text]] = {}
    constants: dict[Text, Text] = {}
    ignore: tuple[Text, ...] = ()
    paths: dict[Literal["image_path", "lesion_mask"], str] = {}
    boxes: Literal["xywh", "xyxy", "yxyx", "yolo"] = "xywh"
    dates: str = "YYYY-MM-DD"
    encoding: Encoding = "utf-8"
    sheet: str = ""
    patient_ids_in_paths: bool = False
    missing_files: Literal["reject", "leave_out"] = "reject"

    @field_validator("dates")
    @classmethod
    def _require_date_parts(cls, text: str) -> str:
        if not all(text.count(part) == 1 for part in _DATE_PARTS) or re.search(
            r"[^-./ ]", re.sub("YYYY|MM|DD", "", text)
        ):
            raise ValueError("YYYY, MM and DD once each, with -, ., / or blanks between them")
        return text

    @property
    def targets(self) -> dict[str, tuple[str, ...]]:
        """Column of the table → what it is."""
        return {
            column: (names,) if isinstance(names, str) else tuple(names)
            for column, names in self.columns.items()
        }

    def read_date(self, cell: str) -> str:
        """Return a date as YYYY-MM-DD; a cell that is none as it is.

        Args:
            cell: A cell of a column of dates.
        """
        pattern = re.escape(self.dates)
        for part, digits in _DATE_PARTS.items():
            pattern = pattern.replace(part, digits)
        for form in (pattern, r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"):
            match = re.fullmatch(f"{form}{_TIME}", cell)
            if match is not None:
                try:
                    return date(*(int(match[p]) for p in ("year", "month", "day"))).isoformat()
                except ValueError:
                    return cell
        return cell


class TableOptions(TableMapping):
    """How a table of your own is read.

    Args:
        mapping: A YAML file with these keys beside the table, as `mammo sources suggest` writes
            it; keys of the recipe take precedence.
        lossy_jpeg: Read JPEG pictures too, for a data set that is published as JPEG only. The loss
            changes gray levels: a warning of each image says so.
    """

    lossy_jpeg: bool = False
    mapping: str = Field(default="", pattern=r"^[^/\\]*$")

    def joined(self, stated: Mapping[str, Any]) -> "TableOptions":
        """Return these options with those of a mapping file, where these say nothing.

        Args:
            stated: The content of the file.

        Raises:
            ValidationError: It contains other keys or values.
        """
        from_file = TableMapping.model_validate(stated)
        # The stored recipe of a run states every key: those with their default say nothing.
        changed = {
            name: getattr(self, name)
            for name, field in TableOptions.model_fields.items()
            if getattr(self, name) != field.default
        }
        return TableOptions.model_validate(
            {
                **{name: getattr(from_file, name) for name in from_file.model_fields_set},
                **changed,
            }
        )
