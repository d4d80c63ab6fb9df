"""What a store remembers of source files, beside its outputs, so as to be quick."""

import gzip
import json

from mammo_core.documents import inflate, parse_json
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store


def remove_caches(store: Store, patient: str) -> None:
    """Delete the facts about files, which any run computes again, and a patient's days of exams.

    Args:
        store: The store.
        patient: Key of the patient.
    """
    for key in list(store.list(f"{TABLES.folder}/file-facts/")):
        store.delete(key)
    for key in list(store.list(f"{TABLES.folder}/exam-days/")):
        data = store.read(key, 2**28)
        days = parse_json(inflate(data, 2**28), max_bytes=2**28)
        if days.pop(patient, None) is not None:
            text = json.dumps(days, sort_keys=True).encode()
            store.write_if(key, gzip.compress(text, 6, mtime=0), data)
