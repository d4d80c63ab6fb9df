import json

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")

IMAGES = ["--registry", "registry.example/mammo", "--image-tag", "abc1234"]


def test_upload_run_wait_status_list_logs(server, mammo_pipeline):
    host = ["--host", server.host]
    done = mammo_pipeline("upload", "score", *IMAGES, *host)
    assert done.returncode == 0, done.stderr
    assert "uploaded mammo-score, version abc1234" in done.stdout
    assert "exists already" in mammo_pipeline("upload", "score", *IMAGES, *host).stdout

    server.script = ["RUNNING", "SUCCEEDED"]
    line = ["run", "--pipeline", "score", "--version", "latest", "--run-id", "mine", "--wait"]
    line += ["--param", "model=s3://mammo/models/phantom", "--source", "s3://new", *host]
    done = mammo_pipeline(*line)
    assert done.returncode == 0, done.stderr
    (run,) = server.runs
    assert f"submitted mine: run {run}" in done.stdout
    assert "run mine: SUCCEEDED" in done.stdout
    assert server.runs[run]["runtime_config"]["parameters"] == {
        "model": "s3://mammo/models/phantom",
        "source": "s3://new",
        "run_id": "mine",
    }
    status = json.loads(mammo_pipeline("status", run, "--json", *host).stdout)
    assert next(task["name"] for task in status["tasks"]) == "Score"
    (listed,) = json.loads(mammo_pipeline("list", "--json", *host).stdout)
    assert listed["run"] == "mine"
    # A terminal of 80 columns cuts no id.
    assert run in mammo_pipeline("list", *host).stdout
    assert f"pipeline/runid={run}" in mammo_pipeline("logs", run, *host).stdout
    mammo_pipeline("archive", run, *host)
    assert run not in mammo_pipeline("list", *host).stdout
    assert run in mammo_pipeline("list", "--archived", *host).stdout


def test_gpus_come_from_the_environment_or_a_flag(server, mammo_pipeline, monkeypatch):
    monkeypatch.setenv("MAMMO_GPU_COUNT", "2")
    line = ["run", "--recipe", "phantom", *IMAGES, "--host", server.host]
    assert mammo_pipeline(*line).returncode == 0
    assert mammo_pipeline(*line, "--gpu-count", "4").returncode == 0
    assert mammo_pipeline(*line, "--param", 'gpu_count="8"').returncode == 0
    sent = [run["runtime_config"]["parameters"]["gpu_count"] for run in server.runs.values()]
    assert sent == ["2", "4", "8"]


def test_a_failed_run_fails_the_command_and_says_where_to_look(server, mammo_pipeline):
    server.script = ["FAILED"]
    line = ["run", "--recipe", "phantom", "--source", "s3://mammo-sources/phantom", "--wait"]
    done = mammo_pipeline(*line, *IMAGES, "--host", server.host)
    assert done.returncode == 1
    assert "ended as FAILED" in done.stderr
    assert "mammo pipeline logs" in done.stdout
    assert "Traceback" not in done.stderr
    (run,) = server.runs.values()
    version = server.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["display_name"] == "abc1234"
    text = json.dumps(version["pipeline_spec"])
    assert "registry.example/mammo/data:abc1234" in text
    assert "unset" not in text


def test_a_recipe_file_travels_whole(server, mammo_pipeline, tmp_path):
    from mammo_core.recipes import load_recipe

    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({**load_recipe("phantom").model_dump(mode="json"), "name": "mine"}))
    line = ["run", "--recipe", path, "--set", "gate.min_auc=0.5", *IMAGES, "--host", server.host]
    done = mammo_pipeline(*line)
    assert done.returncode == 0, done.stderr
    (run,) = server.runs.values()
    sent = load_recipe(run["runtime_config"]["parameters"]["recipe"])
    assert (sent.name, sent.gate.min_auc) == ("mine", 0.5)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "--recipe", "phantom", *IMAGES], 2, "host of Kubeflow Pipelines is missing"),
        (["run", "--recipe", "phantom", "--image-tag", "latest"], 2, "never latest"),
        (["run", "--recipe", "phantom", "--source", "data", *IMAGES], 2, "a cluster"),
        (["run", "--pipeline", "trian", *IMAGES], 2, "no such pipeline"),
        (["run", "--pipeline", "score", *IMAGES], 2, "The parameter model is missing"),
        (["run", "--pipeline", "transfer", *IMAGES], 2, "The parameter start is missing"),
        (["run", "--param", "partition=2", *IMAGES], 2, "no such parameter"),
        (["run", "--param", f"partitions={'[' * 5000}", *IMAGES], 2, "partitions is not valid"),
        (["run", "--run-id", "a b"], 2, "run id is not valid"),
        (["run", "--file", "absent.yaml"], 2, "cannot be read"),
        (["compile", "out.yaml", "--data-image", "data", "--train-image", "t:1"], 2, "by digest"),
        (["schedule", "create", "absent.yaml"], 2, "absent.yaml"),
    ],
)
def test_wrong_usage_is_one_line(mammo_pipeline, words, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = mammo_pipeline(*words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_schedules_of_the_project_are_sound(mammo_pipeline):
    done = mammo_pipeline("schedule", "create", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "retrain-weekly: retrain at 0 0 3 * * 1" in done.stdout
