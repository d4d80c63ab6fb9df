"""What KFP's driver makes of the compiled pipelines: ids, digests, and who waits for whom.

The driver's rules are those of backend/src/v2/driver/resolve.go at KFP 2.17.0, as recorded in
executor-input.json of a real backend: a placeholder of the job or the task is replaced where it
is the whole constant, and nowhere else.
"""

import pytest
import yaml

from pipelines.compiled import PIPELINES, compile_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")

_JOB = {
    "{{$.pipeline_job_name}}": "train of today",
    "{{$.pipeline_job_resource_name}}": "mammo-train-x2b9z",
    "{{$.pipeline_job_uuid}}": "2d6b5468-07ae-4565-a610-0e4c72956a74",
    "{{$.pipeline_task_name}}": "task",
    "{{$.pipeline_task_uuid}}": "5",
    "{{$.pipeline_job_create_time_utc}}": "2026-11-29T17:28:25Z",
    "{{$.pipeline_job_schedule_time_utc}}": "2026-11-29T17:28:25Z",
}
#: Steps that read no record of the run: who writes it, who only sums up, who has no recipe.
_FREE = {"index", "index-new", "summarize", "score"}
#: The tasks that resolve the recipe.
_FIRST = ("index", "index-new")


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yaml")
    texts = {
        name: compile_pipeline(name, folder / f"{name}.yaml").read_text() for name in PIPELINES
    }
    return {name: next(yaml.safe_load_all(text)) for name, text in texts.items()}


def expand(value):
    """A constant as the driver hands it to the launcher."""
    if not isinstance(value, str):
        return value
    # The driver takes the number and type of accelerators from the graph's inputs.
    if value.startswith("{{$.inputs.parameters['pipelinechannel--") and value.endswith("']}}"):
        name = value.removeprefix("{{$.inputs.parameters['").removesuffix("']}}")
        return "value of an input" if "'" not in name else value
    return _JOB.get(value, value)


def dags(spec):
    """Name, dag of the root and of each group of tasks."""
    yield "root", spec["root"]["dag"]
    for name, component in spec["components"].items():
        if "dag" in component:
            yield name, component["dag"]


def constants(spec):
    """Task, parameter and value of each constant that a task gets."""
    for _, dag in dags(spec):
        for task_name, task in dag["tasks"].items():
            for name, value in task.get("inputs", {}).get("parameters", {}).items():
                if "runtimeValue" in value:
                    yield task_name, name, value["runtimeValue"]["constant"]


@pytest.mark.parametrize("name", PIPELINES)
def test_no_placeholder_is_left_in_any_parameter(specs, name):
    left = [
        (task, parameter, value)
        for task, parameter, value in constants(specs[name])
        if "{{" in str(expand(value))
    ]
    assert not left


def test_the_driver_replaces_only_what_is_the_whole_text():
    # As printed by the run mini-ids of the recordings.
    assert expand("{{$.pipeline_job_uuid}}") == "2d6b5468-07ae-4565-a610-0e4c72956a74"
    joined = "{{$.inputs.parameters['pipelinechannel--run_id']}}@{{$.pipeline_job_uuid}}"
    assert expand(joined) == joined


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_knows_which_run_of_kfp_it_works_for(specs, name):
    spec = specs[name]
    uuid = _JOB["{{$.pipeline_job_uuid}}"]
    ids = {(task, expand(v)) for task, parameter, v in constants(spec) if parameter == "kfp_run_id"}
    steps = {
        task_name
        for _, dag in dags(spec)
        for task_name, task in dag["tasks"].items()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    }
    assert ids == {(task, uuid) for task in steps}


def upstream(dag, task_name):
    """All tasks of the dag that end before the task begins."""
    names, waiting = set(), [task_name]
    while waiting:
        for name in dag["tasks"][waiting.pop()].get("dependentTasks", []):
            if name not in names:
                names.add(name)
                waiting.append(name)
    return names


def after_index(spec, dag_name, dag, beneath=()):
    """Task → whether it begins after `index` has ended, in a dag and the dags within it."""
    for task_name, task in dag["tasks"].items():
        component = task["componentRef"]["name"]
        after = bool({*upstream(dag, task_name), *beneath} & {*_FIRST})
        inner = spec["components"][component].get("dag")
        if inner is not None:
            yield from after_index(spec, component, inner, ("index",) if after else ())
        else:
            yield component.removeprefix("comp-"), task_name, after


@pytest.mark.parametrize("name", PIPELINES)
def test_who_reads_the_runs_record_waits_for_who_writes_it(specs, name):
    spec = specs[name]
    tasks = list(after_index(spec, "root", spec["root"]["dag"]))
    assert tasks
    early = [(task, component) for component, task, after in tasks if not after]
    assert {component for _, component in early} <= _FREE, early


@pytest.mark.parametrize("name", PIPELINES)
def test_the_recipes_digest_travels_with_the_steps(specs, name):
    spec = specs[name]
    for component, definition in spec["components"].items():
        step = component.removeprefix("comp-")
        if "executorLabel" not in definition or step.rstrip("-0123456789") in _FREE:
            continue
        assert "recipe_digest" in definition["inputDefinitions"]["parameters"], component
    for dag_name, dag in dags(spec):
        for task_name, task in dag["tasks"].items():
            given = task.get("inputs", {}).get("parameters", {}).get("recipe_digest")
            if given is None:
                continue
            producer = given.get("taskOutputParameter", {}).get("producerTask")
            inherited = given.get("componentInputParameter", "")
            # A group passes on what it got.
            channels = {f"pipelinechannel--{first}-recipe_digest" for first in _FIRST}
            channels |= {"recipe_digest", "pipelinechannel--recipe_digest"}
            assert producer in _FIRST or inherited in channels, (dag_name, task_name, given)
