"""Memory that objects have freed, given back to the system."""

import ctypes
import sys


def give_back_memory() -> None:
    """Give freed memory back to the system, if the C library can (glibc).

    It keeps much of what tables and threads have freed, in pieces that the next table does not
    fit into. Without this call between them, a step on a large source takes the memory of its
    stages together, not that of the largest one.
    """
    if "pyarrow" in sys.modules:
        import pyarrow as pa

        pa.default_memory_pool().release_unused()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
