import re

import pytest
import yaml

from components import container_images
from mammo_core.errors import RecipeError
from pipelines.compiled import (
    COMMITTED,
    PIPELINES,
    compile_pipeline,
    parameters_of,
    require_pinned_image,
    with_images,
)

# KFP's compiler emits deprecation warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yaml")
    return {name: compile_pipeline(name, folder / f"{name}.yaml").read_text() for name in PIPELINES}


def _parts(text):
    spec, platforms = yaml.safe_load_all(text)
    return spec, platforms["platforms"]["kubernetes"]


def _tasks(spec):
    """Name and task of everything that becomes a pod, wherever in the graph it is."""
    for node in [spec["root"], *spec["components"].values()]:
        for name, task in node.get("dag", {}).get("tasks", {}).items():
            if "executorLabel" in spec["components"][task["componentRef"]["name"]]:
                yield name, task


@pytest.mark.parametrize("name", PIPELINES)
def test_the_committed_yaml_is_what_compiles(compiled, name):
    committed = (COMMITTED / f"{name}.yaml").read_text()
    assert committed == compiled[name], "run `make compile` and commit what it wrote"


def test_compiles_the_same_twice(compiled, tmp_path):
    assert compile_pipeline("train", tmp_path / "again.yaml").read_text() == compiled["train"]


@pytest.mark.parametrize("name", PIPELINES)
def test_holds_no_secret_host_path_or_address(compiled, name):
    # The name of a variable that a Secret fills is no password.
    text = compiled[name].replace("MAMMO_SIGNING_KEY_PASSWORD", "")
    for word in ("/work", "/home", "/root", "/tmp", "127.0.0.1", "localhost", "password"):
        assert word not in text.lower(), word
    assert "hostPath" not in text
    # Secrets appear by name only.
    _, kubernetes = _parts(text)
    for settings in kubernetes["deploymentSpec"]["executors"].values():
        for secret in settings["secretAsEnv"]:
            assert secret["optional"] is True
            assert re.fullmatch(r"mammo-[a-z0-9-]+", secret["secretName"])


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_runs_in_our_image_without_installing_anything(compiled, name):
    spec, _ = _parts(compiled[name])
    for executor in spec["deploymentSpec"]["executors"].values():
        container = executor["container"]
        assert container["image"] in (container_images.DATA_IMAGE, container_images.TRAIN_IMAGE)
        assert "pip install" not in " ".join(container["command"])


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_is_named_bounded_and_unprivileged(compiled, name):
    spec, kubernetes = _parts(compiled[name])
    tasks = dict(_tasks(spec))
    for task_name, task in tasks.items():
        assert task["taskInfo"]["name"] != task_name, "no display name"
        assert not task["cachingOptions"].get("enableCache"), task_name
    for label, executor in spec["deploymentSpec"]["executors"].items():
        resources = executor["container"]["resources"]
        assert resources["resourceCpuRequest"]
        assert resources["resourceMemoryLimit"]
        settings = kubernetes["deploymentSpec"]["executors"][label]
        assert int(settings["activeDeadlineSeconds"]) > 0
        assert settings["securityContext"] == {
            "runAsUser": "10001",
            "runAsGroup": "10001",
            "runAsNonRoot": True,
        }
        assert {"volumeName": "scratch", "mountPath": "/scratch"} in settings["emptyDirMounts"]
    assert int(kubernetes["pipelineConfig"]["resourceTtlOnCompletion"]) > 0


@pytest.mark.parametrize("name", PIPELINES)
def test_gpus_are_asked_for_by_parameters_that_reach_the_task(compiled, name):
    spec, kubernetes = _parts(compiled[name])
    expected = {"train", "train-network", "duel", "score", "regions"}
    labels = set()
    for label, executor in spec["deploymentSpec"]["executors"].items():
        settings = kubernetes["deploymentSpec"]["executors"][label]
        if "accelerator" not in executor["container"]["resources"]:
            continue
        labels.add(label.removeprefix("exec-"))
        mounts = {mount["mountPath"] for mount in settings["emptyDirMounts"]}
        assert "/dev/shm" in mounts
        assert "tolerationJson" in settings["tolerations"][0]
        assert "nodeSelectorJson" in settings["nodeSelector"]
    assert labels == expected & {
        label.removeprefix("exec-") for label in spec["deploymentSpec"]["executors"]
    }
    # KFP's driver looks for the number and the type among the inputs of the task.
    for _, task in _tasks(spec):
        resources = spec["deploymentSpec"]["executors"][
            spec["components"][task["componentRef"]["name"]]["executorLabel"]
        ]["container"]["resources"]
        for channel in resources.get("accelerator", {}).values():
            needed = channel.removeprefix("{{$.inputs.parameters['").removesuffix("']}}")
            assert needed in task["inputs"]["parameters"]
    # It looks for the other values in the graph around the task.
    for node in [spec["root"], *spec["components"].values()]:
        given = set(node.get("inputDefinitions", {}).get("parameters", {}))
        for task_name, task in node.get("dag", {}).get("tasks", {}).items():
            for value in task.get("inputs", {}).get("parameters", {}).values():
                needed = value.get("componentInputParameter")
                assert needed is None or needed in given, (task_name, needed)


@pytest.mark.parametrize("name", PIPELINES)
def test_parameters_are_described_and_have_a_default(compiled, name):
    parameters = parameters_of(compiled[name])
    assert all(parameter["description"] for parameter in parameters.values())
    needed = {key for key, value in parameters.items() if not value.get("isOptional")}
    assert not needed
    assert len(parameters) <= 12


def _loops(spec):
    """Display name, name of the group around it, and task of each loop."""
    for group, component in spec["components"].items():
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            if "parameterIterator" in task:
                yield task["taskInfo"]["name"], (group, name), task


def test_conversion_sampling_and_networks_fan_out_and_come_together(compiled):
    spec, _ = _parts(compiled["train"])
    loops = {name: (position, task) for name, position, task in _loops(spec)}
    assert set(loops) == {"Convert partitions", "Sample partitions", "Networks"}
    for (group, name), task in loops.values():
        assert task["iteratorPolicy"]["parallelismLimit"] == 4
        waiting = spec["components"][group]["dag"]["tasks"].values()
        assert any(name in task.get("dependentTasks", []) for task in waiting)


@pytest.mark.parametrize("name", PIPELINES)
def test_an_empty_loop_is_skipped(compiled, name):
    for _, _, task in _loops(_parts(compiled[name])[0]):
        items = task["parameterIterator"]["items"]["inputParameter"]
        condition = " ".join(task["triggerPolicy"]["condition"].split())
        values = "inputs.parameter_values"
        assert condition == f"!('{items}' in {values}) || size({values}['{items}']) > 0"
        # KFP's driver looks for it among the inputs of the loop.
        assert items in task["inputs"]["parameters"]


def _pages(spec):
    """Name of each group and its tasks: what KFP's web page shows at once."""
    yield "root", spec["root"]["dag"]["tasks"]
    for name, component in spec["components"].items():
        if "dag" in component:
            yield name, component["dag"]["tasks"]


@pytest.mark.parametrize("name", PIPELINES)
def test_each_page_of_the_graph_is_a_handful_of_named_boxes(compiled, name):
    spec, _ = _parts(compiled[name])
    for page, tasks in _pages(spec):
        assert len(tasks) <= 5, page
        for task_name, task in tasks.items():
            shown = task["taskInfo"]["name"]
            assert shown != task_name and shown[0].isupper(), (page, task_name)
            between = [
                artifact["taskOutputArtifact"]
                for artifact in task.get("inputs", {}).get("artifacts", {}).values()
                if "taskOutputArtifact" in artifact
            ]
            # Groups are joined by one or two artifacts each.
            producers = [artifact["producerTask"] for artifact in between]
            assert max(map(producers.count, producers), default=0) <= 2, (page, task_name)


def test_the_groups_of_the_training_follow_each_other(compiled):
    spec, _ = _parts(compiled["train"])
    (run,) = [value for key, value in spec["components"].items() if key.startswith("comp-exit")]
    names = {name: task["taskInfo"]["name"] for name, task in run["dag"]["tasks"].items()}
    assert set(names.values()) == {"Index", "Data", "Training and evaluation", "Release"}
    for name, task in run["dag"]["tasks"].items():
        waits = {names[other] for other in task.get("dependentTasks", [])}
        before = {"Index": set(), "Data": {"Index"}, "Training and evaluation": {"Data"}}
        assert waits >= before.get(names[name], {"Data", "Training and evaluation"})


def test_parallelism_is_set_at_compile_time(tmp_path):
    text = compile_pipeline("train", tmp_path / "train.yaml", parallelism=16).read_text()
    assert "parallelismLimit: 16" in text


def test_retrain_goes_on_only_when_enough_is_new(compiled):
    spec, _ = _parts(compiled["retrain"])
    conditions = [
        task["triggerPolicy"]["condition"]
        for node in spec["components"].values()
        for task in node.get("dag", {}).get("tasks", {}).values()
        if "condition" in task.get("triggerPolicy", {})
    ]
    assert any("index-new-Output" in condition for condition in conditions)
    assert any("training-Output" in condition for condition in conditions)


def test_images_take_the_placeholders_place(compiled):
    text = with_images(compiled["train"], "r/data:abc1234", f"r/train@sha256:{'0' * 64}")
    assert "unset" not in text
    images = {
        executor["container"]["image"]
        for executor in _parts(text)[0]["deploymentSpec"]["executors"].values()
    }
    assert images == {"r/data:abc1234", f"r/train@sha256:{'0' * 64}"}


def test_the_pods_that_train_can_have_an_image_of_their_own(compiled):
    text = with_images(
        compiled["train"], "r/data:abc1234", "r/train:abc1234", "r/train-tfio:abc1234"
    )
    spec, _ = _parts(text)
    for label, executor in spec["deploymentSpec"]["executors"].items():
        training = label in ("exec-train", "exec-train-network")
        assert (executor["container"]["image"] == "r/train-tfio:abc1234") == training, label


@pytest.mark.parametrize(
    "reference",
    [
        *("r/data", "r/data:latest", "r/data:unset", "r:5000/data", "r/d@sha256:12", "a b:abc1234"),
        *("r/data:main", "r/data:v1.2.0", "r/data:release-2026", "r/data:1", "r/data:abc123"),
    ],
)
def test_images_that_may_change_are_refused(reference):
    with pytest.raises(RecipeError, match="by digest"):
        require_pinned_image(reference)


@pytest.mark.parametrize("name", PIPELINES)
def test_retries_outlast_all_attempts_of_a_step(compiled, name):
    # Argo counts maxDuration from the start of the first attempt, and ends what then runs.
    spec, kubernetes = _parts(compiled[name])
    whole = 0
    for task_name, task in _tasks(spec):
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        limit = int(kubernetes["deploymentSpec"]["executors"][label]["activeDeadlineSeconds"])
        policy = task["retryPolicy"]
        attempts = policy["maxRetryCount"] + 1
        assert attempts > 1, task_name
        longest = int(policy["backoffMaxDuration"].removesuffix("s"))
        assert longest >= attempts * limit, task_name
        whole += longest
    # Even if every step needs all its attempts, one after the other.
    assert int(kubernetes["pipelineConfig"]["activeDeadlineSeconds"]) >= whole


def test_the_pipeline_score_has_a_role_of_its_own(compiled):
    _, kubernetes = _parts(compiled["score"])
    for label, settings in kubernetes["deploymentSpec"]["executors"].items():
        secrets = {secret["secretName"] for secret in settings["secretAsEnv"]}
        assert secrets == {"mammo-s3-score"}, label


def test_the_pipeline_score_passes_its_switches_on_to_the_step(compiled):
    spec, _ = _parts(compiled["score"])
    parameters = parameters_of(compiled["score"])
    ((_, task),) = [(name, task) for name, task in _tasks(spec) if name == "score"]
    for name in ("on_request", "decide_unlike"):
        assert parameters[name]["parameterType"] == "BOOLEAN"
        assert parameters[name]["defaultValue"] is False
        source = task["inputs"]["parameters"][name]["componentInputParameter"]
        assert source == f"pipelinechannel--{name}"


#: What a file that is no compiled pipeline may be: each is an error of three parts.
DAMAGED = {
    "depth": "root: " + "[" * 5000,
    "a tag": "root: !!python/object/apply:os.system [x]",
    "a number": "root: " + "9" * 100_000,
    "a null": 'root: "\0"',
    "a key": "root: {? {a: b} : c}",
    "aliases": "a: &a [x]\n" + "".join(f"{n}: &n{n} [*a, *a]\n" for n in range(30_000)),
    "size": "root: {}\n" + "#" * 2**20,
    "no document": "",
    "a text": "root",
    "a list": "[root, pipelineInfo]",
    "no name": "{root: {}, pipelineInfo: {}}",
    "a root that is a list": "{root: [], pipelineInfo: {name: a}}",
    "inputs": "{root: {inputDefinitions: []}, pipelineInfo: {name: a}}",
    "parameters": "{root: {inputDefinitions: {parameters: [a]}}, pipelineInfo: {name: a}}",
    "a type": (
        "{root: {inputDefinitions: {parameters: {a: {parameterType: X}}}}, pipelineInfo: {name: a}}"
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_yaml_that_is_no_compiled_pipeline_is_an_error(kind):
    with pytest.raises(RecipeError, match="The compiled pipeline cannot be read"):
        parameters_of(DAMAGED[kind])
