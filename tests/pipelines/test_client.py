import socket

import pytest

from mammo_core.errors import RecipeError
from pipelines.client import parsed_parameters
from pipelines.compiled import compile_pipeline, with_images
from pipelines.connection import ClusterError, connect, settings_from

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = compile_pipeline("score", tmp_path_factory.mktemp("yaml") / "score.yaml")
    return with_images(path.read_text(), "registry/data:abc1234", "registry/train:abc1234")


PARAMETERS = {"model": "s3://mammo/models/phantom", "source": "s3://new"}


def test_flags_overrule_the_environment_and_that_the_file(tmp_path, monkeypatch):
    (tmp_path / "kfp.yaml").write_text("host: http://file\nnamespace: from-file\ntoken: t1\n")
    assert settings_from({}).host == "http://file"
    monkeypatch.setenv("MAMMO_KFP_HOST", "http://environment")
    monkeypatch.setenv("MAMMO_KFP_VERIFY_TLS", "false")
    settings = settings_from({"host": None})
    assert (settings.host, settings.namespace) == ("http://environment", "from-file")
    assert settings.verify_tls is False
    secret = tmp_path / "token"
    secret.write_text("t2\n")
    settings = settings_from({"host": "http://flag", "token_file": secret})
    assert (settings.host, settings.bearer()) == ("http://flag", "t2")
    assert "t1" not in repr(settings)


def test_no_host_is_told():
    with pytest.raises(ClusterError, match=r"--host, MAMMO_KFP_HOST.*port-forward"):
        settings_from({})


@pytest.mark.parametrize(
    ("content", "message"),
    [("host: [", "cannot be read"), ("- a", "keys and values"), ("host: x\nuser: y", "user")],
)
def test_a_wrong_configuration_is_named(tmp_path, content, message):
    (tmp_path / "kfp.yaml").write_text(content)
    with pytest.raises(ClusterError, match=message):
        settings_from({})


def test_an_unreachable_host_is_one_line():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ClusterError, match="cannot be reached") as caught:
        connect(settings_from({"host": f"http://127.0.0.1:{port}"}))
    assert "\n" not in str(caught.value)


def test_an_expired_token_is_told_and_not_shown(make_server, connect_to):
    server = make_server(token="fresh")
    with pytest.raises(ClusterError, match=r"does not accept this token.*expired") as caught:
        connect_to(server, token="stale-secret")
    assert "stale-secret" not in str(caught.value)
    connect_to(server, token="fresh").runs(5)


def test_several_users_need_a_namespace(make_server, connect_to):
    server = make_server(multi_user=True)
    with pytest.raises(ClusterError, match="--namespace"):
        connect_to(server)
    assert connect_to(server, namespace="team").runs(5) == []


def test_upload_makes_a_pipeline_then_versions(server, connect_to, text):
    client = connect_to(server)
    pipeline, version, new = client.upload(text, "abc1234")
    assert new
    assert server.versions[version]["display_name"] == "abc1234"
    assert client.upload(text, "abc1234") == (pipeline, version, False)
    server.tick()
    again, other, new = client.upload(text, "def5678")
    assert (again, new) == (pipeline, True)
    assert other != version
    assert client.uploaded("mammo-score") == (pipeline, other)
    assert client.uploaded("mammo-score", "abc1234") == (pipeline, version)
    assert client.pipelines() == [("mammo-score", pipeline, "def5678")]


def test_the_latest_version_is_ours_and_not_the_one_of_kfp(server, connect_to, text):
    client = connect_to(server)
    pipeline, version, _ = client.upload(text, "abc1234")
    # KFP's own is of the same second, and comes first.
    assert [v["display_name"] for v in server.versions.values()] == ["mammo-score", "abc1234"]
    assert len({v["created_at"] for v in server.versions.values()}) == 1
    assert client.uploaded("mammo-score") == (pipeline, version)
    assert client.pipelines() == [("mammo-score", pipeline, "abc1234")]


def test_a_pipeline_with_kfps_own_version_only_has_none_of_ours(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    server.versions.popitem()
    with pytest.raises(ClusterError, match="no pipeline mammo-score"):
        client.uploaded("mammo-score")


def test_run_from_a_text_and_from_a_version(server, connect_to, text):
    client = connect_to(server)
    first = client.run(PARAMETERS, name="one", experiment="tests", text=text)
    body = server.runs[first]
    assert body["runtime_config"]["parameters"] == PARAMETERS
    assert "platform_spec" in body["pipeline_spec"]
    client.upload(text, "abc1234")
    ids = client.uploaded("mammo-score")
    server.tick()
    second = client.run(
        PARAMETERS, name="two", experiment="tests", version=ids, service_account="mammo-run"
    )
    assert server.runs[second]["service_account"] == "mammo-run"
    assert [run.name for run in client.runs(5)] == ["two", "one"]
    assert len(server.experiments) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({**PARAMETERS, "modle": "x"}, "no such parameter.*'modle'"),
        ({**PARAMETERS, "tolerations": "x"}, "tolerations is not valid.*LIST"),
        ({**PARAMETERS, "gpu_count": 1}, "gpu_count is not valid.*STRING"),
    ],
)
def test_a_bad_parameter_is_reported_before_anything_is_sent(
    server, connect_to, text, parameters, message
):
    client = connect_to(server)
    with pytest.raises(RecipeError, match=message):
        client.run(parameters, name="x", experiment="tests", text=text)
    assert not server.runs


def test_an_unknown_run(server, connect_to):
    with pytest.raises(ClusterError, match="does not have the run nothing"):
        connect_to(server).get("nothing")


def test_waiting_asks_until_the_run_has_ended(server, connect_to, text):
    client = connect_to(server)
    run = client.run(PARAMETERS, name="one", experiment="tests", text=text)
    server.script = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    states = []
    final = client.wait(run, 60, states.append, interval_s=0.01)
    assert [state.state for state in states] == ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    assert final == states[-1]


def test_waiting_has_an_end(server, connect_to, text):
    client = connect_to(server)
    run = client.run(PARAMETERS, name="one", experiment="tests", text=text)
    server.script = ["RUNNING"]
    with pytest.raises(ClusterError, match=r"has not finished.*waits again"):
        client.wait(run, 0.3, lambda _: None, interval_s=0.05)


def test_an_upload_that_is_refused_says_why(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    client.pipeline_id = lambda name: None
    with pytest.raises(ClusterError, match="HTTP 409: Failed to create a pipeline"):
        client.upload(text, "abc1234")


def test_a_version_reference_brings_the_graph_of_its_pipeline(server, connect_to, text):
    client = connect_to(server)
    client.upload(text, "abc1234")
    ids = client.uploaded("mammo-score")
    run = client.run(PARAMETERS, name="two", experiment="tests", version=ids)
    assert "components" in client.spec_of(client.run_of(run))["pipeline_spec"]
    server.versions.clear()
    assert client.spec_of(client.run_of(run)) == {}


def test_parameters_as_text():
    texts = ["partitions=4", "recipe=phantom", 'settings=["a=1"]', 'gpu_count="2"', "x=a=b"]
    assert parsed_parameters(texts) == {
        "partitions": 4,
        "recipe": "phantom",
        "settings": ["a=1"],
        "gpu_count": "2",
        "x": "a=b",
    }
    with pytest.raises(RecipeError, match="name=value"):
        parsed_parameters(["partitions"])
