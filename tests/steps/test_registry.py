"""How steps are found."""

import json
import subprocess
import sys

import pytest

from mammo_core import at_paths, steps
from mammo_core.datasets import Manifest
from mammo_core.errors import RunError
from mammo_core.steps.registry import get_step, registered_steps
from mammo_core.steps.step import StepContext, declared_steps, step

HEAVY = {
    *("numpy", "pandas", "pyarrow", "scipy", "sklearn", "cv2", "pydicom", "matplotlib"),
    *("keras", "tensorflow", "feast", "apache_beam", "kfp"),
}


def test_a_step_is_an_attribute_of_the_package_and_of_its_paths():
    assert steps.train_image is get_step("train-image") is registered_steps()["train-image"]
    assert steps.index.name == "index"  # and not its module
    assert at_paths.convert.__doc__ == steps.convert.__doc__
    for package in (steps, at_paths):
        with pytest.raises(AttributeError, match="no step 'bake'"):
            package.bake  # noqa: B018
    with pytest.raises(RunError, match=r"There is no step 'bake'.*convert"):
        get_step("bake")


def test_a_name_belongs_to_one_module_and_to_its_function(monkeypatch):
    monkeypatch.setattr("mammo_core.steps.step._DECLARED", {"convert": steps.convert})

    def declare(name, module):
        def convert(context: StepContext) -> Manifest:
            raise NotImplementedError

        convert.__qualname__, convert.__module__ = "convert", module
        step(name)(convert)

    declare("convert", steps.convert.__module__)  # the module is read again
    with pytest.raises(RunError, match=r"cannot be declared in other.*mammo_core"):
        declare("convert", "other")
    with pytest.raises(RunError, match=r"cannot be found by its function.*change"):
        declare("change", "other")


def test_a_step_within_a_function_is_not_registered():
    @step("hidden")
    def hidden(context: StepContext) -> Manifest:
        raise NotImplementedError

    assert "hidden" not in declared_steps()


def test_looking_up_steps_and_reading_a_recipe_load_nothing_heavy():
    """A step that finds its output should end in less time than pandas takes to load."""
    code = (
        "import json, sys\n"
        "from mammo_core.recipes import load_recipe\n"
        "from mammo_core.steps import registered_steps\n"
        "registered_steps(); load_recipe(load_recipe('phantom').to_json())\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout))
