import pytest

from mammo_core.errors import RecipeError
from pipelines.compiled import COMMITTED, compile_pipeline, validate_parameters, with_images
from pipelines.connection import ClusterError
from pipelines.cron import shown_cron, six_fields, with_cron
from pipelines.schedule import Schedule, Schedules, read_schedules

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")


@pytest.mark.parametrize(
    ("five", "six"),
    [
        ("0 3 * * 1", "0 0 3 * * 1"),
        ("*/15 * * * *", "0 */15 * * * *"),
        ("5,35 1-5/2 1 jan,JUL mon-fri", "0 5,35 1-5/2 1 1,7 1-5"),
        ("0 0 * * 7", "0 0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 0 * * 5,6,0"),
        ("@weekly", "0 0 0 * * 0"),
        ("@daily", "0 0 0 * * *"),
    ],
)
def test_five_fields_become_six(five, six):
    assert six_fields(five) == six


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 0 3 * * 1", "five fields.*received 6"),
        ("61 * * * *", "minute is 0 to 59; received '61'"),
        ("0 24 * * *", "hour is 0 to 23"),
        ("0 0 0 * *", "day of the month is 1 to 31"),
        ("0 0 * 13 *", "month is 1 to 12"),
        ("0 0 * * 8", "day of the week is 0 to 7"),
        ("0 5-1 * * *", "runs backwards"),
        ("0 0 * * moonday", "day of the week"),
        ("a b c d e", "minute"),
        ("0 */0 * * *", "step"),
        ("", "received 0"),
    ],
)
def test_an_invalid_cron_expression_is_refused(cron, message):
    with pytest.raises(ValueError, match=message):
        six_fields(cron)


@pytest.mark.parametrize("cron", ["0 3 * * 1", "*/15 1-5 * jan mon", "0 0 * * 7", "@weekly"])
def test_the_fields_that_were_given_are_shown(cron):
    assert shown_cron(six_fields(cron), with_cron("Trains on.", cron)) == cron
    # Somebody changed the schedule in the meantime.
    assert shown_cron("0 5 5 * * *", with_cron("Trains on.", cron)) == "5 5 * * *"


@pytest.mark.parametrize(
    ("kfp", "shown"),
    [
        ("0 0 3 * * 1", "0 3 * * 1"),
        ("30 0 3 * * 1", "30 0 3 * * 1 (with seconds)"),
        # Made elsewhere with five fields: KFP fires it every five seconds.
        ("*/5 * * * *", "*/5 * * * * (with seconds)"),
        ("", ""),
    ],
)
def test_an_expression_of_others_is_shown_as_it_works(kfp, shown):
    assert shown_cron(kfp) == shown


def _write(folder, name, text):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\npipeline: train\ncron: 0 3 * *", "cron.*five fields"),
        ("name: a\npipeline: test\ncron: 0 3 * * *", "pipeline"),
        ("name: a\npipeline: train\ncron: 0 3 * * *\nwhen: now", "when"),
        ("name: [", "cannot be read"),
    ],
)
def test_a_wrong_schedule_is_named(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message):
        read_schedules([_write(tmp_path, "one", text)])


def test_two_schedules_of_one_name(tmp_path):
    text = "name: a\npipeline: train\ncron: 0 3 * * *\n"
    _write(tmp_path, "one", text)
    _write(tmp_path, "two", text)
    with pytest.raises(RecipeError, match=r"two\.yaml has the name of another"):
        read_schedules([tmp_path])


def test_no_schedule(tmp_path):
    with pytest.raises(RecipeError, match="no schedule"):
        read_schedules([tmp_path])


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = compile_pipeline("retrain", tmp_path_factory.mktemp("yaml") / "retrain.yaml")
    return with_images(path.read_text(), "registry/data:abc1234", "registry/train:abc1234")


def _schedule(**more):
    values = {"name": "weekly", "pipeline": "retrain", "cron": "0 3 * * 1"}
    return Schedule.model_validate({**values, "parameters": {"partitions": 2}, **more})


def _refuse(name, active):
    raise ClusterError(f"{name} is busy", expected="none", received=active[0].name)


def _kill(name, active):
    pass


def test_creating_twice_makes_one(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    assert schedules.create(_schedule(), _refuse).done == "created"
    (run,) = server.recurring.values()
    assert run["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert run["no_catchup"] is True
    assert run["max_concurrency"] == "1"
    assert run["runtime_config"]["parameters"] == {"partitions": 2}
    (reference,) = {run["pipeline_version_reference"]["pipeline_version_id"]}
    assert server.versions[reference]["display_name"] == "abc1234"
    before = len(server.requests)
    assert schedules.create(_schedule(), _refuse).done == "unchanged"
    assert all(method == "GET" for method, _ in server.requests[before:])


def test_a_changed_schedule_is_replaced(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    schedules.create(_schedule(), _refuse)
    assert schedules.create(_schedule(cron="0 4 * * 1"), _refuse).done == "replaced"
    (run,) = server.recurring.values()
    assert run["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 1"
    # A newer version of the pipeline is another run too.
    server.tick()
    client.upload(text.replace(":abc1234", ":def5678"), "def5678")
    assert schedules.create(_schedule(cron="0 4 * * 1"), _refuse).done == "replaced"
    named = _schedule(cron="0 4 * * 1", version="def5678")
    assert schedules.create(named, _refuse).done == "unchanged"
    latest = _schedule(cron="0 4 * * 1", version="latest")
    assert schedules.create(latest, _refuse).done == "unchanged"


def test_a_run_in_progress_is_not_killed_by_a_change(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    schedules.create(_schedule(), _refuse)
    (id,) = server.recurring
    server.start_run_of(id, "weekly-1")
    server.script = ["RUNNING"]
    with pytest.raises(ClusterError, match=r"weekly is busy.*weekly-1"):
        schedules.create(_schedule(cron="0 4 * * 1"), _refuse)
    with pytest.raises(ClusterError, match="weekly is busy"):
        schedules.delete("weekly", _refuse)
    # Nothing was changed: the schedule works as before.
    assert list(server.recurring) == [id]
    assert server.recurring[id]["status"] == "ENABLED"
    assert schedules.create(_schedule(cron="0 4 * * 1"), _kill).done == "replaced"


def test_a_schedule_is_disabled_before_its_runs_are_waited_for(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    schedules.create(_schedule(), _refuse)
    (id,) = server.recurring
    run = server.start_run_of(id, "weekly-1")
    server.script = ["RUNNING", "SUCCEEDED"]
    states = []

    def wait(name, active):
        states.append(server.recurring[id]["status"])
        client.wait(active[0].run_id, 10, lambda _: None, interval_s=0.01)

    assert schedules.delete("weekly", wait)
    assert states == ["DISABLED"]
    assert (server.runs[run]["state"], server.recurring) == ("SUCCEEDED", {})


def test_recurring_runs_of_one_name_become_one(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    schedules.create(_schedule(), _refuse)
    (first,) = server.recurring.values()
    server.recurring["second"] = {**first, "recurring_run_id": "second"}
    assert schedules.create(_schedule(), _refuse).done == "unchanged"
    assert len(server.recurring) == 1


def test_pause_resume_delete(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    schedules.create(_schedule(), _refuse)
    assert schedules.switch("weekly", enabled=False) == []
    assert schedules.present("weekly")[0].status == "DISABLED"
    assert schedules.create(_schedule(enabled=False), _refuse).done == "unchanged"
    assert schedules.create(_schedule(), _refuse).done == "resumed"
    assert schedules.delete("weekly", _refuse)
    assert not schedules.delete("weekly", _refuse)
    with pytest.raises(ClusterError, match="no recurring run weekly"):
        schedules.switch("weekly", enabled=True)


def test_a_pipeline_that_was_not_uploaded(server, connect_to):
    with pytest.raises(ClusterError, match=r"no pipeline mammo-retrain.*upload"):
        Schedules(connect_to(server)).create(_schedule(), _refuse)


def test_a_parameter_that_the_pipeline_has_not(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    with pytest.raises(RecipeError, match="no such parameter"):
        Schedules(client).create(_schedule(parameters={"partition": 2}), _refuse)
    assert not server.recurring


def test_the_shipped_schedule_fits_its_pipeline():
    (schedule,) = read_schedules([COMMITTED.parent.parent / "manifests" / "recurring"])
    text = (COMMITTED / f"{schedule.pipeline}.yaml").read_text()
    assert validate_parameters(text, schedule.parameters)
    # It is that of overlays/kubeflow, or of a copy of it for a profile.
    assert schedule.service_account == "mammo-run"


_FILE = "name: weekly\npipeline: retrain\ncron: 0 3 * * mon\nservice_account: mammo-run\n"


def test_schedules_from_the_command_line(
    server, cluster, connect_to, text, mammo_pipeline, tmp_path
):
    connect_to(server).upload(text, "abc1234")
    host = ["--host", server.host]
    path = _write(tmp_path, "one", _FILE)
    done = mammo_pipeline("schedule", "create", path, *host)
    assert done.returncode == 1
    assert "service account mammo-run is missing in the namespace kubeflow" in done.stderr
    assert "overlays/kubeflow" in done.stderr and not server.recurring
    cluster.service_accounts = [("kubeflow", "mammo-run"), ("team", "trainer")]
    assert mammo_pipeline("schedule", "create", path, *host).stdout == "weekly: created\n"
    assert "0 3 * * mon" in mammo_pipeline("schedule", "list", *host).stdout
    (id,) = server.recurring
    assert server.recurring[id]["service_account"] == "mammo-run"
    assert id in mammo_pipeline("schedule", "list", *host).stdout

    # A run of it is in progress.
    run = server.start_run_of(id, "weekly-1")
    cluster.workflows = [{"metadata": _labeled("weekly-1", run), "status": {}}]
    server.script = ["RUNNING"]
    paused = mammo_pipeline("schedule", "pause", "weekly", *host)
    assert f"its run weekly-1 ({run}) goes on" in paused.stdout
    done = mammo_pipeline("schedule", "delete", "weekly", *host)
    assert done.returncode == 1
    assert f"weekly-1 ({run})" in done.stderr and "--wait" in done.stderr
    done = mammo_pipeline("schedule", "delete", "weekly", "--terminate", *host)
    assert "run weekly-1: TERMINATED\nweekly: deleted\n" in done.stdout, done.stderr
    assert not server.recurring


def _labeled(name, run):
    labels = {"pipeline/runid": run}
    return {"name": name, "namespace": "kubeflow", "labels": labels}


def test_a_run_that_lost_its_workflow_does_not_block_its_schedule(
    server, cluster, connect_to, text, mammo_pipeline, tmp_path
):
    connect_to(server).upload(text, "abc1234")
    host = ["--host", server.host]
    cluster.service_accounts = [("kubeflow", "mammo-run")]
    mammo_pipeline("schedule", "create", _write(tmp_path, "one", _FILE), *host)
    (id,) = server.recurring
    server.start_run_of(id, "weekly-1")  # KFP says RUNNING without end; there is no Workflow
    server.script = ["RUNNING"]
    assert mammo_pipeline("schedule", "delete", "weekly", *host).stdout == "weekly: deleted\n"
