"""When exams were, as days from an anchor of the patient; no date is ever stored.

The anchor is the patient's first exam when she was first indexed. It never moves: it is found
again from any exam of hers whose day is known, so an older exam that comes later has a negative
day. If no exam with a known day is left in the source, the days of new ones stay unknown.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

from mammo_core.documents import inflate, parse_json
from mammo_core.errors import RecordError
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store

#: (patient key, exam key).
Exam = tuple[str, str]
#: Patient key → exam key → days from the patient's anchor.
Days = dict[str, dict[str, int]]

_ATTEMPTS: Final = 100
#: Bytes of the days of all exams: a million of them have 50 MB.
_MAXIMUM_BYTES: Final = 2**28


class ExamDays:
    """The days of the exams that a store has seen.

    Args:
        store: Where the days are kept; None keeps none.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = store

    def assign(
        self, dates: Mapping[Exam, Callable[[], date | None]], namespace: str = ""
    ) -> dict[Exam, int | None]:
        """Return the day of each exam, and keep the days of new ones.

        Args:
            dates: Exam → reads its date. Only the dates of new exams are read, and that of one
                known exam of the same patient.
            namespace: Fingerprint of the site key: other keys make other patients.

        Raises:
            StoreError: The store failed, or others wrote the days at the same time.
        """
        read = {exam: _once(reader) for exam, reader in dates.items()}
        days = _merge({}, read) if self._store is None else _keep(self._store, namespace, read)
        return {exam: days.get(exam[0], {}).get(exam[1]) for exam in dates}


def _keep(store: Store, namespace: str, dates: Mapping[Exam, Callable[[], date | None]]) -> Days:
    key = f"{TABLES.folder}/exam-days/{namespace or 'none'}.json.gz"
    for _ in range(_ATTEMPTS):
        stored = store.read(key, _MAXIMUM_BYTES) if store.exists(key) else None
        known = _parse(stored, key)
        days = _merge(known, dates)
        if days == known or store.write_if(key, _bytes(days), stored):
            return days
    raise RecordError(
        f"The days of exams cannot be kept at {key}",
        expected="one writer at a time",
        received=f"another one in each of {_ATTEMPTS} attempts",
    )


def _merge(known: Days, dates: Mapping[Exam, Callable[[], date | None]]) -> Days:
    days: Days = {patient: dict(exams) for patient, exams in known.items()}
    by_patient: dict[str, list[str]] = defaultdict(list)
    for patient, exam in dates:
        by_patient[patient].append(exam)
    for patient, exams in by_patient.items():
        days_before = days.get(patient, {})
        new = sorted(exam for exam in exams if exam not in days_before)
        if not new:
            continue
        anchor: date | None = None
        for exam in sorted(set(exams) & set(days_before)):
            value = dates[patient, exam]()
            if value is not None:
                anchor = value - timedelta(days=days_before[exam])
                break
        new_dates = {exam: value for exam in new if (value := dates[patient, exam]()) is not None}
        if anchor is None and not days_before and new_dates:
            anchor = min(new_dates.values())
        if anchor is not None and new_dates:
            update = {exam: (value - anchor).days for exam, value in new_dates.items()}
            days[patient] = {**days_before, **update}
    return days


def _once(read: Callable[[], date | None]) -> Callable[[], date | None]:
    values: list[date | None] = []

    def call() -> date | None:
        if not values:
            values.append(read())
        return values[0]

    return call


def _bytes(days: Days) -> bytes:
    return gzip.compress(json.dumps(days, sort_keys=True).encode(), 6, mtime=0)


def _parse(data: bytes | None, key: str) -> Days:
    if data is None:
        return {}
    try:
        days: Days = parse_json(inflate(data, _MAXIMUM_BYTES), max_bytes=_MAXIMUM_BYTES)
    except ValueError as error:
        raise RecordError(
            f"The days of exams at {key} are damaged",
            expected="the file that `index` wrote",
            received=type(error).__name__,
            hint="restore it from a backup: without it, anchors would move",
        ) from error
    return days
