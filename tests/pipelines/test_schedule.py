import pytest

from mammo_core.errors import RecipeError
from pipelines.compiled import compile_pipeline, with_images
from pipelines.connection import ClusterError
from pipelines.schedule import Schedule, Schedules, read_schedules, six_fields

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


def test_creating_twice_makes_one(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    assert schedules.create(_schedule()).done == "created"
    (run,) = server.recurring.values()
    assert run["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert run["no_catchup"] is True
    assert run["max_concurrency"] == "1"
    assert run["runtime_config"]["parameters"] == {"partitions": 2}
    (reference,) = {run["pipeline_version_reference"]["pipeline_version_id"]}
    assert server.versions[reference]["display_name"] == "abc1234"
    before = len(server.requests)
    assert schedules.create(_schedule()).done == "unchanged"
    assert all(method == "GET" for method, _ in server.requests[before:])


def test_a_changed_schedule_is_replaced(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    schedules.create(_schedule())
    assert schedules.create(_schedule(cron="0 4 * * 1")).done == "replaced"
    (run,) = server.recurring.values()
    assert run["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 1"
    # A newer version of the pipeline is another run too.
    client.upload(text.replace(":abc1234", ":def5678"), "def5678")
    assert schedules.create(_schedule(cron="0 4 * * 1")).done == "replaced"
    assert schedules.create(_schedule(cron="0 4 * * 1", version="def5678")).done == "unchanged"


def test_pause_resume_delete(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    schedules = Schedules(client)
    schedules.create(_schedule())
    schedules.switch("weekly", enabled=False)
    assert schedules.present()["weekly"].status == "DISABLED"
    assert schedules.create(_schedule(enabled=False)).done == "unchanged"
    assert schedules.create(_schedule()).done == "resumed"
    assert schedules.delete("weekly")
    assert not schedules.delete("weekly")
    with pytest.raises(ClusterError, match="no recurring run weekly"):
        schedules.switch("weekly", enabled=True)


def test_a_pipeline_that_was_not_uploaded(server, connect_to):
    with pytest.raises(ClusterError, match=r"no pipeline mammo-retrain.*upload"):
        Schedules(connect_to(server)).create(_schedule())


def test_a_parameter_that_the_pipeline_has_not(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    with pytest.raises(RecipeError, match="no such parameter"):
        Schedules(client).create(_schedule(parameters={"partition": 2}))
    assert not server.recurring
