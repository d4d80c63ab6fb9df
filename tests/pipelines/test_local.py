import io

import pytest

from pipelines.compiled import COMMITTED
from pipelines.local import _Lines, _without_retries

# KFP's compiler emits deprecation warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")


def test_local_runs_have_no_retries():
    compiled = (COMMITTED / "train.yaml").read_text()
    assert "retryPolicy" in compiled
    assert "retryPolicy" not in _without_retries(compiled)


def test_only_the_steps_own_lines_are_shown(capsys):
    log = io.StringIO()
    lines = _Lines(log)
    text = "    [KFP Executor 2026 INFO]: x\n    [convert] 3/4 images\nI0000 noise\n[train-patch] a"
    lines.write(text)
    lines.write("b\n")
    assert capsys.readouterr().out == "[convert] 3/4 images\n[train-patch] ab\n"
    assert log.getvalue() == text + "b\n"
