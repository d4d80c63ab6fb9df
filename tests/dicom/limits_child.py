"""Read files in a separate process with limited processor time and address space.

`python limits_child.py VALID FILE...` prints one JSON object per file: processor time (seconds),
peak memory above the idle process (MB), and the error (null if the file is read).
"""

import json
import resource
import sys
from pathlib import Path

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def main(valid, *paths):
    read_image(valid)  # imports do not count
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(status("VmSize") * 2**20) + 2**29, hard))
    for path in paths:
        before = processor_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(before) + 10, -1))
        Path("/proc/self/clear_refs").write_text("5")
        idle, reason = status("VmRSS"), None
        for read in (read_facts, read_image):  # like `inspect`
            try:
                read(path, "the file")
            except DicomError as error:
                reason = str(error)
        seconds, memory = processor_time() - before, status("VmHWM") - idle
        print(json.dumps({"name": Path(path).stem, "s": seconds, "mb": memory, "reason": reason}))


if __name__ == "__main__":
    main(*sys.argv[1:])
