"""UIDs of results: derived, so that the same score record gives the same ones."""

import uuid
from typing import Final

#: Ours alone, so that no name of others can give the same UIDs.
_NAMESPACE: Final = uuid.UUID("0b4b7a3e-6f0f-5f5a-9a0d-2f3f8c1d7c55")


def derived_uid(*parts: object) -> str:
    """Return a UID (PS3.5 B.2) that names these parts.

    Args:
        parts: What the object is and which record it is of.
    """
    name = "\n".join(str(part) for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"
