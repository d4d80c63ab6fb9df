"""A run that cannot sign its model ends before any work, on a cluster as on this machine."""

import json

import pytest
import yaml

from mammo_core.errors import ModelError, RecipeError
from mammo_core.runs import Run
from pipelines.compiled import compile_pipeline
from tests.support.key_fixtures import configure, keys

__all__ = ["configure", "keys"]

# KFP's compiler emits deprecation warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")
PUSHING = ("train", "retrain", "transfer")
IMAGES = ["--registry", "registry.example/mammo", "--image-tag", "abc1234"]


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """Name → the compiled pipeline and its platform."""
    folder = tmp_path_factory.mktemp("yaml")
    texts = {
        name: compile_pipeline(name, folder / f"{name}.yaml", signed=True).read_text()
        for name in (*PUSHING, "score")
    }
    parts = {name: list(yaml.safe_load_all(text)) for name, text in texts.items()}
    return {name: (spec, rest["platforms"]["kubernetes"]) for name, (spec, rest) in parts.items()}


def run_tasks(spec):
    """The tasks within the exit handler of a pipeline."""
    (run,) = [value for name, value in spec["components"].items() if name.startswith("comp-exit")]
    return run["dag"]["tasks"]


@pytest.mark.parametrize("name", PUSHING)
def test_everything_but_the_index_waits_for_the_check(signed, name):
    tasks = run_tasks(signed[name][0])
    first = "index-new" if name == "retrain" else "index"
    assert "dependentTasks" not in tasks["check-signing-key"]
    assert "dependentTasks" not in tasks[first]
    assert tasks[first]["inputs"]["parameters"]["signed"]["runtimeValue"]["constant"] is True
    second = [task for task in tasks.values() if first in task.get("dependentTasks", [])]
    assert any("check-signing-key" in task["dependentTasks"] for task in second)
    for task_name, task in tasks.items():
        if task_name not in ("check-signing-key", first):
            assert task["dependentTasks"], task_name


@pytest.mark.parametrize("name", PUSHING)
def test_the_check_has_the_secrets_of_the_push_and_nobody_else_has(signed, name):
    executors = signed[name][1]["deploymentSpec"]["executors"]

    def secrets(step):
        return {secret["secretName"] for secret in executors[f"exec-{step}"]["secretAsEnv"]}

    assert secrets("check-signing-key") == secrets("release")
    assert secrets("release") == {"mammo-s3-release", "mammo-signing-key"}
    holders = {label for label in executors if "mammo-signing-key" in secrets(label[5:])}
    assert holders == {"exec-check-signing-key", "exec-release"}
    for holder in holders:  # an encrypted key needs its password; other keys have none
        for secret in executors[holder]["secretAsEnv"]:
            if secret["secretName"] == "mammo-signing-key":
                assert secret["optional"] is True
                variables = {pair["envVar"] for pair in secret["keyToEnv"]}
                assert variables == {"MAMMO_SIGNING_KEY", "MAMMO_SIGNING_KEY_PASSWORD"}


def test_only_who_asks_for_it_has_the_check(signed, tmp_path):
    for name in (*PUSHING, "score"):
        text = compile_pipeline(name, tmp_path / f"{name}.yaml").read_text()
        assert "comp-check-signing-key" not in text
    assert "comp-check-signing-key" not in signed["score"][0]["components"]


def check(store, kfp_run_id="1"):
    """Run the component as KFP does."""
    import components

    return components.check_signing_key.python_func(
        store=store.uri, run_id="signed", kfp_run_id=kfp_run_id
    )


def test_the_component_returns_the_id_of_the_key(file_store, keys, configure):
    configure([keys.mine], keys.mine)
    assert check(file_store) == keys.mine.signing.public_id()
    assert Run(file_store, "signed").statuses()["check-signing-key"]["state"] == "succeeded"


@pytest.mark.parametrize(
    ("policy", "signing", "problem"),
    [
        ("mine", None, "Nothing can be signed"),
        ("mine", "other", "The signatures of the signing key would not be accepted"),
        (None, None, "The model of this run could not be signed"),
    ],
)
def test_a_key_that_is_missing_or_not_accepted_ends_the_run(
    file_store, keys, configure, capsys, policy, signing, problem
):
    configure([getattr(keys, policy)] if policy else None, getattr(keys, signing or "", None))
    with pytest.raises(SystemExit) as ended:
        check(file_store)
    assert ended.value.code == 1
    status = Run(file_store, "signed").statuses()["check-signing-key"]
    assert status["state"] == "failed"
    assert f"[check-signing-key] error: {status['error']}" in capsys.readouterr().out
    for part in (problem, "Expected", "Received"):
        assert part in status["error"]


@pytest.mark.parametrize("content", ["", " \n", "not a key"])
def test_a_secret_without_a_usable_key_ends_the_run(file_store, monkeypatch, capsys, content):
    monkeypatch.delenv("MAMMO_TRUST", raising=False)
    monkeypatch.setenv("MAMMO_SIGNING_KEY", content)
    with pytest.raises(SystemExit):
        check(file_store)
    assert "signing key" in Run(file_store, "signed").statuses()["check-signing-key"]["error"]


def test_a_policy_requires_a_pipeline_with_the_check(file_store, keys, configure):
    from mammo_core import steps

    configure([keys.mine])
    run = Run(file_store, "unchecked")
    with pytest.raises(RecipeError, match=r"only after training.*--signed"):
        steps.begin(run, "phantom", signing_key_id="")
    assert run.statuses()["index"]["state"] == "failed" and not run.has_recipe
    # Commands and tests call the steps without a pipeline.
    steps.begin(run, "phantom")
    steps.begin(run, "phantom", signing_key_id=keys.mine.signing.public_id())
    configure(None)
    steps.begin(run, "phantom", signing_key_id="")


def test_a_local_run_has_the_check_where_it_signs(tmp_path, keys, configure, monkeypatch):
    from pipelines.cli import local_run
    from pipelines.cli.options import RunRequest

    compiled = []

    def stop(package, *arguments, **options):
        compiled.append(package.read_text())
        raise ModelError("stopped", expected="nothing", received="nothing")

    monkeypatch.setattr("pipelines.local.run_compiled", stop)
    monkeypatch.setattr(local_run, "_require_source", lambda source: None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    request = RunRequest("train", recipe="phantom", store=f"file://{tmp_path}/store")
    for policy, signing in (([keys.mine], keys.mine), (None, None)):
        configure(policy, signing)
        with pytest.raises(ModelError, match="stopped"):
            local_run.run_locally(request, tmp_path / "runs", None, False)
    assert ["comp-check-signing-key" in text for text in compiled] == [True, False]


def test_the_commands_ask_for_the_check(server, mammo_pipeline, tmp_path):
    assert mammo_pipeline("compile", tmp_path / "train.yaml", "--signed").returncode == 0
    assert "comp-check-signing-key" in (tmp_path / "train.yaml").read_text()
    host = ["--host", server.host]
    # A version is never replaced: the one with the check has another name.
    assert "version abc1234 " in mammo_pipeline("upload", "train", *IMAGES, *host).stdout
    done = mammo_pipeline("upload", "train", "--signed", *IMAGES, *host)
    assert "uploaded mammo-train, version abc1234-signed" in done.stdout
    for words, is_checked in (([], False), (["--signed"], True)):
        line = ["run", "--recipe", "phantom", "--source", "s3://mammo-sources/phantom", *words]
        assert mammo_pipeline(*line, *IMAGES, *host).returncode == 0
        *_, run = server.runs.values()
        version = server.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
        assert version["display_name"] == ("abc1234-signed" if is_checked else "abc1234")
        assert ("comp-check-signing-key" in json.dumps(version["pipeline_spec"])) == is_checked
