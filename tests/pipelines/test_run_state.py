import pytest
from recorded import case, moment


@pytest.fixture
def shown(server, cluster, mammo_pipeline):
    """Show a recorded run: `shown("stop")`, with `kubernetes=False` as KFP alone knows it."""

    def show(name, command="status", number=-1, kubernetes=True, words=()):
        recording = moment(name, number)
        run = server.play(recording)
        if kubernetes:
            cluster.show(recording)
        else:
            cluster.namespaces = []
        for pod, lines in case(name)["logs"].items():
            cluster.logs[pod] = "\n".join(lines) + "\n"
        words = [*words, "--timeout", "30"] if command == "wait" else words
        return mammo_pipeline(command, run, "--host", server.host, *words)

    return show


def test_a_run_that_succeeded_is_one_line_a_task(shown):
    done = shown("train")
    lines = done.stdout.splitlines()
    assert lines[0] == "run again: SUCCEEDED"
    assert lines[1].split() == ["task", "of", "state", "attempts", "duration"]
    assert lines[2].split() == ["Index", "SUCCEEDED", "1", "10", "s"]
    assert [line.split()[2:6] for line in lines if "Convert part" in line] == [
        ["1", "of", "2", "SUCCEEDED"],
        ["2", "of", "2", "SUCCEEDED"],
    ]
    assert "Second stage                          SKIPPED" in done.stdout
    assert lines[-1].split()[0:2] == ["Summary", "SUCCEEDED"]
    assert len(lines) == 2 + 17
    assert "driver" not in done.stdout and "executor" not in done.stdout


def test_kfp_alone_loses_sight_of_a_long_run_and_leftovers_are_ignored(shown):
    done = shown("train", kubernetes=False)
    lines = done.stdout.splitlines()
    assert lines[0] == "run again: SUCCEEDED"
    assert "RUNNING" not in done.stdout and "PENDING" not in done.stdout
    states = {line[:28].rstrip(): line.split() for line in lines[2:]}
    # It must have succeeded; of what stands under a condition, nobody says.
    assert "SUCCEEDED" in states["Evaluate"]
    assert "UNKNOWN" in states["Push"] and "UNKNOWN" in states["Summary"]


@pytest.mark.parametrize("kubernetes", [True, False])
def test_a_terminated_run_is_no_failure(shown, kubernetes):
    done = shown("stop", kubernetes=kubernetes)
    assert done.stdout.startswith("run stop: TERMINATED\n")
    states = {line[:28].rstrip(): line.split() for line in done.stdout.splitlines()[2:]}
    assert "TERMINATED" in states["Validate data"]
    assert "OMITTED" in states["Evaluate"]
    assert "SUCCEEDED" in states["Summary"]
    assert "FAILED" not in done.stdout
    waited = shown("stop", "wait", kubernetes=kubernetes)
    assert waited.returncode == 1
    assert "The run stop was terminated" in waited.stderr
    assert "Validate data" in waited.stderr and "mammo pipeline retry" in waited.stderr


@pytest.mark.parametrize(
    ("name", "number", "task", "words"),
    [
        ("pull", 0, "Index", "container image mammo-pipelines/data:091b3fda"),
        ("mini-secret", 0, "Index", "the Secret no-such-secret is missing"),
    ],
)
def test_why_a_pod_waits_is_said_while_kfp_says_running(shown, name, number, task, words):
    done = shown(name, number=number)
    lines = done.stdout.splitlines()
    position = next(i for i, line in enumerate(lines) if line.startswith(task))
    assert "PENDING" in lines[position]
    assert lines[position + 1].startswith("  ! ") and words in lines[position + 1]
    assert "Hint: " in lines[position + 1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("oom", "Train patch classifier: it used more memory than its limit (OOMKilled)"),
        ("mini-oom", "Train patch: it used more memory than its limit (OOMKilled)"),
        ("nosa", "the service account mammo-run is missing"),
        ("recipe", "step Index: The recipe cannot be found. Expected a file"),
        ("driver-failed", "step Index: failed to resolve container args: failed to resolve input"),
    ],
)
def test_a_failure_names_its_cause_first(shown, name, words):
    done = shown(name, "wait")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    if not done.stderr.startswith("error: step"):
        assert "Hint: " in done.stderr


def test_logs_begin_with_the_error_of_the_step(shown):
    lines = shown("recipe", "logs").stdout.splitlines()
    assert lines[0] == "run recipe: FAILED"
    assert lines[1].startswith("== Index (FAILED), attempt 1 of 1, pod mammo-train-f6n2l-retry-")
    assert lines[2].startswith("step Index: The recipe cannot be found. Expected a file")
    # What follows is of the step, not of KFP's launcher.
    assert not any("launcher" in line for line in lines)
    words = ["--launcher"]
    assert "launcher_v2.go" in shown("recipe", "logs", words=words).stdout


def test_logs_of_a_step_that_cannot_start(shown):
    done = shown("pull", "logs", number=0)
    assert "Index (PENDING): the container image mammo-pipelines/data" in done.stdout


def test_logs_without_pods_come_from_the_archive(shown, server, cluster, mammo_pipeline):
    pod = "mammo-train-f6n2l-retry-system-container-impl-4057914553"
    run = moment("recipe")["run"]["run_id"]
    server.logs[f"/apis/v1alpha1/runs/{run}/nodes/{pod}/log"] = "[index] error: Of the archive.\n"
    done = shown("recipe", "logs", kubernetes=False)
    assert "step Index: Of the archive." in done.stdout
    # The pods are gone, and their Workflow is still there.
    recording = moment("recipe")
    cluster.namespaces, cluster.pods = None, []
    cluster.workflows = [recording["workflow"]]
    done = mammo_pipeline("logs", run, "--host", server.host)
    assert "step Index: Of the archive." in done.stdout
    # And the UI's way, where the host is the UI.
    server.logs = {"/k8s/pod/logs": "[index] error: Of the UI.\n"}
    assert "step Index: Of the UI." in shown("recipe", "logs", kubernetes=False).stdout


def test_logs_of_a_task_by_name(shown):
    assert "== Convert" in shown("train", "logs", words=["--step", "convert part 2 of 2"]).stdout
    done = shown("train", "logs", words=["--step", "Cnovert"])
    assert done.returncode == 1 and "Expected Index, Convert part, Convert" in done.stderr


def test_pods_in_another_namespace_and_no_right_to_list_all(shown, cluster):
    assert "Hint" in shown("pull", number=0).stdout
    cluster.namespaces = ["kubeflow"]
    assert "Hint" in shown("pull", number=0).stdout
    for pod in cluster.pods:
        pod["metadata"] = {**pod["metadata"], "namespace": "team"}
    cluster.namespaces = None


def test_logs_of_a_task_whose_driver_failed_are_those_of_the_driver(shown):
    lines = shown("driver-failed", "logs").stdout.splitlines()
    assert "system-container-driver" in lines[1]
    assert lines[2].startswith("step Index: failed to resolve container args")


def test_a_run_without_its_workflow_is_lost(server, cluster, mammo_pipeline):
    recording = moment("pull", 0)
    run = server.play(recording)
    done = mammo_pipeline("wait", run, "--host", server.host, "--timeout", "30")
    assert done.returncode == 1
    assert "is lost: KFP says RUNNING, and its Workflow was deleted" in done.stderr
    assert "schedule" in done.stderr
    # There is nothing to terminate, and KFP is not asked to.
    server.requests.clear()
    done = mammo_pipeline("terminate", run, "--host", server.host)
    assert "LOST already" in done.stdout and done.returncode == 0
    assert all(method == "GET" for method, _ in server.requests)
    # Without an answer of Kubernetes nobody can say so.
    cluster.namespaces = []
    assert "RUNNING" in mammo_pipeline("status", run, "--host", server.host).stdout


def test_waiting_prints_each_change_once(server, cluster, mammo_pipeline, monkeypatch):
    from pipelines import run_requests

    monkeypatch.setattr(run_requests.time, "sleep", lambda _: None)
    early, late = moment("pull", 0), moment("pull", 1)
    cluster.show(early)
    run = server.play(early, early, early, late)
    done = mammo_pipeline("wait", run, "--host", server.host, "--timeout", "30")
    lines = done.stdout.splitlines()
    assert len(lines) == len(set(lines)) <= 6, lines
    assert lines[0].startswith("[Index] ! the container image")
    assert lines[-2] == "run pull: TERMINATED"


def test_a_whole_run_prints_few_lines(shown):
    lines = shown("train", "wait").stdout.splitlines()
    assert len(lines) == 17 + 1, lines
    assert "[Convert part 2 of 2] SUCCEEDED after 21 s" in lines
    assert lines[-1] == "run again: SUCCEEDED"


def test_terminating_leaves_no_pod(server, cluster, mammo_pipeline):
    late = moment("pull", 1)
    run = server.play(moment("pull", 0), late)
    cluster.show(late)
    stuck = "mammo-train-t8hmp-retry-system-container-impl-4119604392"
    server.runs[run]["state"] = "RUNNING"
    done = mammo_pipeline("terminate", run, "--host", server.host, "--timeout", "5")
    assert done.returncode == 0, done.stderr
    assert ("POST", f"/apis/v2beta1/runs/{run}:terminate") in server.requests
    assert cluster.deleted == [stuck]
    assert f"deleted the pod {stuck}, which could not start" in done.stdout
    # Of a run that has ended it deletes what is left, and asks KFP nothing.
    server.requests.clear()
    done = mammo_pipeline("terminate", run, "--host", server.host)
    assert "TERMINATED already" in done.stdout
    assert all(method == "GET" for method, _ in server.requests)


def test_retry_and_archive(server, mammo_pipeline):
    run = server.play(moment("recipe"))
    done = mammo_pipeline("retry", run, "--host", server.host)
    assert "started again" in done.stdout, done.stderr
    assert mammo_pipeline("archive", run, "--host", server.host).stdout.endswith(": archived\n")
    assert (
        "in the list again"
        in mammo_pipeline("archive", run, "--undo", "--host", server.host).stdout
    )
    server.recorded.clear()
    succeeded = server.play(moment("train"))
    done = mammo_pipeline("retry", succeeded, "--host", server.host)
    assert done.returncode == 1
    assert "HTTP 409: Workflow must be Failed/Error to retry" in done.stderr
