"""Runs a Python program in a fork: `fork_client.py SOCKET (SCRIPT | -m MODULE) ARGUMENTS…`.

It imports little, so that it starts at once. The exit status is that of the program.
"""

import json
import os
import socket
import sys
from pathlib import Path

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
request = {"words": sys.argv[2:], "folder": str(Path.cwd()), "environment": dict(os.environ)}
socket.send_fds(connection, [b"."], [1, 2])
connection.sendall(json.dumps(request).encode() + b"\n")
status = connection.makefile().readline()
sys.exit(int(status) if status else 137)  # without a status, the process was killed
