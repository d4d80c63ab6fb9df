"""A run with steps that make something, and what trackers would find in the environment."""

import os
from collections.abc import Callable

import pytest

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Facts, Kind
from mammo_core.datasets.outputs import Draft
from mammo_core.errors import SourceError
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run, summarize
from mammo_core.steps.step import Step, StepContext, step
from mammo_core.steps.tracked import end_run, start_run

#: Of a patient: it must reach no tracker.
PATIENT = "P_00017_LEFT_CC.dcm"


class ThingFacts(Facts):
    auc: float = 0.875


RAW = Kind("raw-things", 1, ThingFacts)
THING = Kind("things", 1, ThingFacts)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("OPENLINEAGE", "MLFLOW", "KFP_MLFLOW")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def steps() -> dict[str, Step]:
    """Steps within a function, which the registry does not know."""

    @step("index")
    def index(context: StepContext) -> Manifest:
        """Make something."""
        id = RAW.content_id({"of": "index"})
        manifest = RAW.manifest(id, config={}, counts={"images": 3}, facts=ThingFacts())
        return context.reuse_or_make(RAW, id, lambda attempt: Draft(manifest))

    @step("evaluate")
    def evaluate(context: StepContext, raw: Manifest) -> Manifest:
        """Make something of it, with numbers."""
        id = THING.content_id({}, [(raw.kind, raw.id)])
        facts = ThingFacts()
        manifest = THING.manifest(id, config={}, counts={"images": 2}, facts=facts)
        context.facts = {
            "auc": 0.875,
            "auc_ci95": (0.75, 0.9375),
            "worst": PATIENT,
            "model_uri": "s3://bucket/models/phantom/3",
            "model_id": "m" * 32,
        }
        return context.reuse_or_make(THING, id, lambda attempt: Draft(manifest))

    @step("convert")
    def convert(context: StepContext, raw: Manifest) -> Manifest:
        """Fail for the sake of a file."""
        raise SourceError(f"The file {PATIENT} changed", expected="a", received="b")

    return {"index": index, "evaluate": evaluate, "convert": convert}


@pytest.fixture
def whole_run(file_store, steps) -> Callable[..., Run]:
    """`whole_run(id, **tracking)`: a run of three steps, of which the last one fails."""

    def execute(id: str, **tracking: str) -> Run:
        run = Run(file_store, id)
        settings = [f"tracking.{name}={value}" for name, value in tracking.items()]
        recipe = load_recipe("phantom", settings)
        run.write_recipe(recipe)
        start_run(run, recipe, print)
        raw = steps["index"](run)
        steps["evaluate"](run, raw=raw)
        with pytest.raises(SourceError):
            steps["convert"](run, raw=raw)
        end_run(run, summarize(run, "phantom", "FAILED"), print)
        return run

    return execute
