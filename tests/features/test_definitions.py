import subprocess
import sys


def test_feast_does_not_change_the_warning_filters():
    """Importing Feast enables every DeprecationWarning, those of Keras after each epoch, too."""
    code = (
        "import warnings; from mammo_core.features.definitions import feast_objects\n"
        "feast_objects()\n"
        "exec(compile('warnings.warn(\"x\", DeprecationWarning)', 'other.py', 'exec'),"
        " {'warnings': warnings, '__name__': 'other'})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
