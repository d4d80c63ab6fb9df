"""Cron expressions: five fields for people, six for Kubeflow Pipelines (KFP), seconds first."""

import re

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
#: Name, lowest and highest value, and names of the values of the five fields.
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_ITEM = re.compile(r"(?:(\*)|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:/([0-9]+))?")
#: How a description ends that carries the five fields as they were given.
_GIVEN = re.compile(r"\s*\(cron: ([^()]*) UTC\)$")


def six_fields(cron: str) -> str:
    """Turn a cron expression of five fields into KFP's, which begins with seconds.

    Args:
        cron: Five fields, or one of @hourly, @daily, @weekly, @monthly, @yearly.

    Raises:
        ValueError: It is none.
    """
    fields = _MACROS.get(cron.strip(), cron).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            "a cron expression has five fields: minute, hour, day of the month, month, day of "
            f"the week; received {len(fields)}: {cron!r}"
        )
    checked = [_checked(field, *known) for field, known in zip(fields, _FIELDS, strict=True)]
    return " ".join(["0", *checked])


def _checked(field: str, what: str, low: int, high: int, names: list[str]) -> str:
    items = []
    for item in field.lower().split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"the {what} {field!r} is not like *, 5, 1-5, */10 or 1,15")
        star, first, last, pace = match.groups()
        values = [_value(text, what, low, high, names) for text in (first, last) if text]
        if len(values) == 2 and values[0] > values[1]:
            raise ValueError(f"the {what} {field!r} runs backwards")
        if pace is not None and not 1 <= int(pace) <= high:
            raise ValueError(f"the {what} {field!r} has a step outside 1 to {high}")
        if high == 7 and 7 in values:  # Sunday is 0 for KFP, 7 is unknown to it
            spread = range(values[0], values[-1] + 1, int(pace or 1))
            items += [str(day % 7) for day in spread]
            continue
        text = "*" if star else "-".join(map(str, values))
        items.append(f"{text}/{pace}" if pace else text)
    return ",".join(dict.fromkeys(items))


def _value(text: str, what: str, low: int, high: int, names: list[str]) -> int:
    if text in names:
        return names.index(text) + low
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"the {what} is {low} to {high}; received {text!r}")
    return int(text)


def with_cron(description: str, cron: str) -> str:
    """Return the description of a recurring run, with the five fields as they were given.

    KFP's own expression has another form, and a UI shows the description.
    """
    return f"{description} (cron: {cron} UTC)".strip()


def shown_cron(cron: str, description: str = "") -> str:
    """Return the five fields of a recurring run as they were given, or KFP's own as five fields.

    Args:
        cron: KFP's expression, which begins with seconds.
        description: Description of the recurring run.
    """
    given = _GIVEN.search(description)
    if given and _is_same(given[1], cron):
        return given[1]
    fields = cron.split()
    if len(fields) == 6 and fields[0] == "0":
        return " ".join(fields[1:])
    return f"{cron} (with seconds)" if len(fields) in (5, 6) else cron


def _is_same(given: str, cron: str) -> bool:
    try:
        return six_fields(given) == cron
    except ValueError:
        return False
