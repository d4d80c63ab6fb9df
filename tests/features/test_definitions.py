import subprocess
import sys


def test_feast_leaves_warnings_as_they_are():
    """Feast shows every DeprecationWarning from its import on, also Keras's after each epoch."""
    code = (
        "import warnings; from mammo_core.features.definitions import feast_objects\n"
        "feast_objects()\n"
        "exec(compile('warnings.warn(\"x\", DeprecationWarning)', 'other.py', 'exec'),"
        " {'warnings': warnings, '__name__': 'other'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
