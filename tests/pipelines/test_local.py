import io

import pytest

from pipelines.compiled import COMMITTED
from pipelines.local import _for_this_machine, _Lines
from tests.support.key_fixtures import configure, keys

__all__ = ["configure", "keys"]

# KFP's compiler emits deprecation warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")


def test_local_runs_have_no_retries():
    compiled = (COMMITTED / "train.yaml").read_text()
    assert "retryPolicy" in compiled
    assert "retryPolicy" not in _for_this_machine(compiled)


def test_loops_have_no_conditions_here_and_other_groups_keep_theirs():
    compiled = (COMMITTED / "train.yaml").read_text()
    left = _for_this_machine(compiled)
    assert "size(inputs" in compiled and "size(inputs" not in left
    assert "pipelinechannel--training-Output'] == true" in " ".join(left.split())


def test_only_the_steps_own_lines_are_shown(capsys):
    log = io.StringIO()
    lines = _Lines(log)
    text = "    [KFP Executor 2026 INFO]: x\n    [convert] 3/4 images\nI0000 noise\n[train-patch] a"
    lines.write(text)
    lines.write("b\n")
    assert capsys.readouterr().out == "[convert] 3/4 images\n[train-patch] ab\n"
    assert log.getvalue() == text + "b\n"


def test_a_run_without_a_signing_key_ends_before_it_begins(tmp_path, keys, configure):
    from mammo_core.errors import ModelError
    from pipelines.cli.local_run import run_locally
    from pipelines.cli.options import RunRequest

    def run(pipeline):
        request = RunRequest(pipeline, recipe="phantom", store=str(tmp_path / "store"))
        run_locally(request, tmp_path / "runs", None, False)

    configure([keys.mine])
    with pytest.raises(ModelError, match="Nothing can be signed"):
        run("train")
    configure([keys.mine], keys.other)
    with pytest.raises(ModelError, match="not in the policy"):
        run("retrain")
    (tmp_path / "trust.yaml").write_text("")
    for pipeline in ("train", "score"):
        with pytest.raises(ModelError, match="an empty file"):
            run(pipeline)
    assert not (tmp_path / "store").exists() and not (tmp_path / "runs").exists()


def test_containers_get_the_trust_policy_the_authorities_and_the_key(
    tmp_path, keys, configure, monkeypatch
):
    from pipelines.local import _docker_runner

    configure([keys.mine], keys.mine)
    monkeypatch.delenv("MAMMO_CA_BUNDLE", raising=False)
    arguments = _docker_runner(tmp_path).container_run_args
    assert arguments["environment"]["MAMMO_SIGNING_KEY"] == keys.mine.private.read_text()
    (mount,) = arguments["mounts"]
    assert mount["Source"] == str(tmp_path / "trust.yaml") and mount["ReadOnly"]
    assert mount["Target"] == arguments["environment"]["MAMMO_TRUST"]
    monkeypatch.setenv("MAMMO_CA_BUNDLE", str(keys.mine.public))
    assert len(_docker_runner(tmp_path).container_run_args["mounts"]) == 2


@pytest.mark.parametrize("name", ["train", "retrain", "transfer", "score"])
def test_every_step_of_a_cluster_run_can_read_the_trust_policy(name):
    """The variable comes from the Secret of the role: without the file it is an error."""
    import yaml

    *_, platform = yaml.safe_load_all((COMMITTED / f"{name}.yaml").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        variables = {
            pair["envVar"] for secret in executor["secretAsEnv"] for pair in secret["keyToEnv"]
        }
        volumes = {item["configMapName"]: item for item in executor["configMapAsVolume"]}
        assert "MAMMO_TRUST" in variables
        assert volumes["mammo-trust"]["mountPath"] == "/etc/mammo/trust"
