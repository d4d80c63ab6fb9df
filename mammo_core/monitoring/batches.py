"""Objects that hold events: their names, their bytes, and the store that they are in.

A key is `<year>/<month>/<day>/<time>-<batch id>.json.gz`, in UTC; an object is written once.
"""

import gzip
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammo_core.documents import DocumentError, inflate, require_json_limits
from mammo_core.errors import RecordError
from mammo_core.scoring.events import ScoreEvent
from mammo_core.store import Store, open_store

#: Events of one object at most.
MOST_EVENTS: Final = 1000
_FORMAT: Final = 1
_MAXIMUM_BYTES: Final = 2**22
_MAXIMUM_KEYS: Final = 64 * MOST_EVENTS
_KEY: Final = re.compile(r"(\d{4}/\d\d/\d\d)/\d{6}-([0-9a-f]{16})\.json\.gz")
#: Credentials of the role that may only put events, where a process has others besides.
_CREDENTIALS: Final[Mapping[str, str]] = {
    "MAMMO_S3_ACCESS_KEY": "MAMMO_EVENTS_S3_ACCESS_KEY",
    "MAMMO_S3_SECRET_KEY": "MAMMO_EVENTS_S3_SECRET_KEY",
}


class _Batch(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(ge=_FORMAT, le=_FORMAT)
    events: tuple[ScoreEvent, ...] = Field(max_length=MOST_EVENTS)


def open_event_store(uri: str) -> Store:
    """Open the store of events.

    Args:
        uri: `s3://mammo-events`, or a folder. On S3, MAMMO_EVENTS_S3_ACCESS_KEY and
            MAMMO_EVENTS_S3_SECRET_KEY go before the credentials of other stores.

    Raises:
        StoreError: The URI does not name a store.
    """
    changes = {name: os.environ[key] for name, key in _CREDENTIALS.items() if os.environ.get(key)}
    return open_store(uri, {**os.environ, **changes})


def new_key() -> str:
    """Return the key of a batch that is written now, with a new id."""
    return f"{datetime.now(UTC):%Y/%m/%d/%H%M%S}-{secrets.token_hex(8)}.json.gz"


def day_of(key: str) -> date | None:
    """Return the day (UTC) in the key of a batch; None for another object's key."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], "%Y/%m/%d").date()
    except ValueError:
        return None


def folder_of(day: date) -> str:
    """Return the folder of the batches of a day."""
    return f"{day:%Y/%m/%d}/"


def id_of(key: str) -> str:
    """Return the id in the key of a batch."""
    match = _KEY.fullmatch(key)
    return match[2] if match else ""


def to_bytes(events: Sequence[ScoreEvent]) -> bytes:
    """Return the bytes of a batch."""
    batch = {"format": _FORMAT, "events": [event.model_dump(mode="json") for event in events]}
    text = json.dumps(batch, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode(), mtime=0)


def from_bytes(data: bytes, key: str) -> tuple[ScoreEvent, ...]:
    """Return the events of a batch; whoever may put events may put anything.

    Args:
        data: Its bytes.
        key: Its key, for the message.

    Raises:
        RecordError: It is something else.
    """
    try:
        text = inflate(data, _MAXIMUM_BYTES)
        require_json_limits(text, max_keys=_MAXIMUM_KEYS)
        return _Batch.model_validate_json(text).events
    except DocumentError as error:
        received = error.received
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        received = f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the start'}"
    raise RecordError(
        f"The events {key} cannot be read",
        expected=f"a batch of at most {MOST_EVENTS} events, as `score` and `serve` write it",
        received=received,
    )
