"""Make the helpers of this folder importable by its tests (which are not a package)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
