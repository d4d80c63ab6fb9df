"""Lets the tests of this folder import its helpers (the folder is not a package)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
