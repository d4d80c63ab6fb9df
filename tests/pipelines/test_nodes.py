import pytest
import yaml
from recorded import case, graph, moment

from pipelines.cluster.graph import graph_of, tasks_of
from pipelines.cluster.nodes import Spot, node_id, nodes_of_details, nodes_of_workflow, spot_of
from pipelines.compiled import COMMITTED, PIPELINES


@pytest.mark.parametrize(
    ("name", "spot"),
    [
        ("wf", Spot((), (), "task", False)),
        ("wf(0).root-driver(0)", Spot(("root",), (), "driver", True)),
        ("wf(0).root(0).index-driver", Spot(("index",), (), "driver", False)),
        ("wf(0).root(0).index", Spot(("index",), (), "task", False)),
        ("wf(0).root(0).index(1).executor(2)", Spot(("index",), (), "executor", True)),
        ("wf(0).root(0).run(0).index(0).executor", Spot(("run", "index"), (), "executor", False)),
        ("wf(0).root(0).run.onExit(0).end(0).executor(0)", Spot(("end",), (), "executor", True)),
        # Two loops, one in the other; the second iteration of the first, the third of the second.
        (
            "wf(0).root(0).a(0).iteration-iterations(1:1)(0).iteration-item(0).b(0)."
            "iteration-iterations(2:2)(0).iteration-item(0).c",
            Spot(("a", "b", "c"), (1, 2), "task", False),
        ),
        ("wf(0).root(0).a(0).iteration-iterations(1:1)", Spot(("a",), (1,), "task", False)),
        ("wf(0).root(0).a(0).iteration-iterations(1:1)(0)", Spot(("a",), (1,), "task", True)),
        # Without retries at each level, as other settings of the controller have it.
        ("wf.root.index.executor", Spot(("index",), (), "executor", False)),
    ],
)
def test_the_name_of_a_node_is_its_path(name, spot):
    assert spot_of(name) == spot


def test_ids_are_those_of_argo():
    names = {node.name: node.id for node in nodes_of_workflow(moment("train")["workflow"])}
    assert len(names) == 160
    assert {name: node_id("mammo-train-zzpsv", name) for name in names} == names


def _details(run):
    import kfp_server_api

    client = kfp_server_api.ApiClient()
    kind = "list[V2beta1PipelineTaskDetail]"
    tasks = run["run_details"]["task_details"]
    return client._ApiClient__deserialize(tasks, kind)


@pytest.mark.parametrize("name", ["stop", "oom", "pull", "recipe", "mini-ok", "mini-fail"])
def test_what_kfp_lists_is_what_the_workflow_has(name):
    shown = moment(name)
    graph = graph_of(shown["run"]["pipeline_spec"])
    nodes = {node.name: node for node in nodes_of_workflow(shown["workflow"])}
    listed = {node.name: node for node in nodes_of_details(_details(shown["run"]), graph)}
    assert set(listed) <= set(nodes)
    paths = {task.path for task in tasks_of(graph)}

    def of_tasks(all_nodes):
        return {
            node.name: (node.state, node.started, node.finished)
            for node in all_nodes.values()
            if node.spot.path in paths and node.spot.role == "task" and not node.spot.attempt
        }

    def pods(all_nodes):
        return {node.id for node in all_nodes.values() if node.pod and node.spot.role == "executor"}

    assert of_tasks(listed) == of_tasks(nodes)
    assert pods(listed) == pods(nodes)


def test_tasks_come_in_the_order_of_the_work():
    names = [task.name for task in tasks_of(graph_of(graph("train")))]
    assert names == [
        *("Index", "Convert part", "Convert", "Sample part", "Publish features"),
        *("Sample patches", "Validate data", "Train patch classifier"),
        *("Train whole-image classifier", "Combine networks", "Second stage", "Evaluate"),
        *("Gate", "Push", "Summary"),
    ]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_has_a_graph_of_display_names(name):
    spec = next(iter(yaml.safe_load_all((COMMITTED / f"{name}.yaml").read_text())))
    tasks = tasks_of(graph_of(spec))
    assert len(tasks) >= len(spec["deploymentSpec"]["executors"])
    assert all(task.name[0].isupper() for task in tasks)
    assert len({task.path for task in tasks}) == len(tasks)
    loops = {task.iterates for task in tasks if task.loops}
    assert loops <= {"partition", "member"}


def test_recordings_name_their_graphs():
    assert case("oom")["graph"] == "train"
