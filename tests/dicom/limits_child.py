"""Read files in a process of its own, held to a processor's time and address space.

`python limits_child.py FILE...` prints a JSON object a file: seconds of a processor, MB of
memory above the idle process, and the refusal (null where the file is read).
"""

import json
import resource
import sys
from pathlib import Path

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError


def processor():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def main(honest, *paths):
    read_image(honest)  # imports do not count
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(status("VmSize") * 2**20) + 2**29, hard))
    for path in paths:
        before = processor()
        resource.setrlimit(resource.RLIMIT_CPU, (int(before) + 10, -1))
        Path("/proc/self/clear_refs").write_text("5")
        idle, reason = status("VmRSS"), None
        for read in (read_facts, read_image):  # as `inspect` does
            try:
                read(path, "the file")
            except DicomError as error:
                reason = str(error)
        used, memory = processor() - before, status("VmHWM") - idle
        print(json.dumps({"name": Path(path).stem, "s": used, "mb": memory, "reason": reason}))


if __name__ == "__main__":
    main(*sys.argv[1:])
