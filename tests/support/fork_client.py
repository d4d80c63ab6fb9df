"""Runs a Python program in a fork: `fork_client.py SOCKET (SCRIPT | -m MODULE) ARGUMENTS…`.

It imports little, so that it starts at once. The exit status is that of the program, which has
the limits of this process and ends with it.
"""

import json
import os
import resource
import socket
import sys
from pathlib import Path

LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU)

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
request = {
    "words": sys.argv[2:],
    "folder": str(Path.cwd()),
    "environment": dict(os.environ),
    "limits": {kind: resource.getrlimit(kind) for kind in LIMITS},
}
socket.send_fds(connection, [b"."], [1, 2])
connection.sendall(json.dumps(request).encode() + b"\n")
status = connection.makefile().readline()
sys.exit(int(status) if status else 137)  # without a status, the process was killed
