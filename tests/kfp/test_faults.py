"""What goes wrong on a cluster, provoked on a real backend: each fault is named and ends cleanly.

A fault that keeps a pod from starting keeps its run RUNNING: `mammo pipeline status` names it while
it lasts, and the run is terminated. Compiled pipelines are edited where no option makes the fault.
"""

import os
import shlex
import subprocess

import pytest

from pipelines.client import KfpClient
from pipelines.connection import settings_from

ABSENT = "0123456789ab"


def terminated(backend, report, what: str, run_id: str):
    """Terminate a run; it is shown as terminated, and no pod of it waits or works any more."""
    backend.mammo("pipeline", "terminate", run_id)
    ended = backend.wait(run_id, 900)
    report(what, ended)
    assert ended.state == "FAILED" and "CANCELING" in ended.history
    assert "terminated" in ended.printed.lower(), ended.printed

    def gone() -> bool:
        return all(p["status"]["phase"] in ("Succeeded", "Failed") for p in backend.pods(run_id))

    backend.until("the pods of a terminated run to end", gone, 300)
    return ended


def failed(backend, report, what: str, ended, *words: str):
    """A failed run says why at its end, and `logs` says it again, the step's own error first."""
    report(what, ended)
    assert ended.state == "FAILED", ended.printed
    logs = backend.mammo("pipeline", "logs", ended.run_id, check=False)
    backend.keep(f"{what}-logs", logs)
    for word in words:
        assert word.lower() in ended.printed.lower(), ended.printed
        assert word.lower() in logs.lower(), logs


def test_missing_image(backend, phantom, report):
    run_id = backend.submit(settings=backend.settings(), tag=ABSENT)
    printed = backend.until_status(run_id, "image", ABSENT)
    assert "RUNNING" in printed, printed
    terminated(backend, report, "missing image, terminated", run_id)


def test_missing_secret(backend, phantom, report):
    """Our own Secrets are optional, so that a step says which is missing; one that is required."""

    def require(_, platform):
        (secret, *_) = platform["exec-index"]["secretAsEnv"]
        secret |= {"secretName": "mammo-absent", "optional": False}
        secret["secretNameParameter"] = {"runtimeValue": {"constant": "mammo-absent"}}

    run_id = backend.submit(settings=backend.settings(), file=backend.compiled("train", require))
    backend.until_status(run_id, "secret", "mammo-absent")
    terminated(backend, report, "missing Secret, required, terminated", run_id)


def test_missing_optional_secret(backend, phantom, report):
    def rename(_, platform):
        for secret in platform["exec-index"]["secretAsEnv"]:
            secret["secretName"] = "mammo-absent"
            secret["secretNameParameter"] = {"runtimeValue": {"constant": "mammo-absent"}}

    file = backend.compiled("train", rename)
    ended = backend.run(settings=backend.settings(), file=file)
    failed(backend, report, "missing Secret, optional", ended, "MAMMO_S3_")


def test_missing_service_account(backend, phantom, report):
    """It is refused before the run; one that goes away later is named while the run waits."""
    with pytest.raises(AssertionError, match="service account mammo-absent is missing"):
        backend.submit(settings=backend.settings(), account="mammo-absent")
    client = KfpClient(settings_from({"namespace": backend.namespace}))
    parameters = {"recipe": "phantom", "store": backend.store, "source": backend.source}
    run_id = client.run(
        {**parameters, "settings": backend.settings()},
        name="no-account",
        experiment="mammo",
        text=backend.compiled("train", lambda *_: None).read_text(),
        service_account="mammo-absent",
    )
    ended = backend.wait(run_id)
    report("missing service account", ended)
    assert ended.state == "FAILED"
    assert "mammo-absent" in ended.printed and "service account" in ended.printed, ended.printed


def test_unschedulable(backend, phantom, report):
    def enlarge(executors, _):
        executors["exec-index"]["container"]["resources"] |= {
            "cpuRequest": 500.0,
            "resourceCpuRequest": "500",
        }

    file = backend.compiled("train", enlarge)
    run_id = backend.submit(settings=backend.settings(), file=file)
    backend.until_status(run_id, "cpu")
    terminated(backend, report, "unschedulable, terminated", run_id)


def test_out_of_memory(backend, phantom, report):
    """A step over its memory limit is named as such, with its remedy."""

    def squeeze(executors, _):
        memory = {"memoryLimit": 0.3, "resourceMemoryLimit": "300M"}
        memory |= {"memoryRequest": 0.3, "resourceMemoryRequest": "300M"}
        for name, executor in executors.items():
            if name.startswith("exec-train"):
                executor["container"]["resources"] |= memory

    file = backend.compiled("train", squeeze)
    ended = backend.run(settings=backend.settings(31), file=file)
    failed(backend, report, "out of memory", ended, "memory")


def test_step_error(backend, phantom, report):
    ended = backend.run(settings=backend.settings(), recipe="nonesuch")
    failed(backend, report, "step error: no such recipe", ended, "nonesuch", "expected")


@pytest.fixture
def undisturbed(backend, trained):
    """What the trained run left: the manifest of its whole-image classifier, then removed."""

    def take() -> dict:
        return backend.python(
            f"""
import json
key = json.loads(store.read("runs/{trained.run_id}/steps/train-image.json"))["output"]
manifest = json.loads(store.read(key))
folder = key.rpartition("/")[0]
files = {{file["name"]: file["sha256"] for file in manifest["files"]}}
print(json.dumps({{"id": manifest["id"], "folder": folder, "files": files}}))
"""
        )

    before = take()
    backend.python(
        f"""
import json
keys = list(store.list({before["folder"]!r}))
keys += list(store.list("checkpoints/{before["id"]}"))
for key in keys:
    store.delete(key)
print(json.dumps(len(keys)))
"""
    )
    return before, take


def disturb(backend, report, what: str, undisturbed, disturbance) -> None:
    """Train the removed classifier again, disturbed while it trains: nothing of it differs."""
    before, take = undisturbed
    run_id = backend.submit(settings=backend.settings())

    pod = backend.until("train-image", lambda: backend.working(run_id, "train-image"))
    disturbance(pod)
    ended = backend.wait(run_id)
    report(what, ended)
    assert ended.state == "SUCCEEDED", ended.printed
    assert take() == before


def test_pod_deleted_in_train_image(backend, report, undisturbed):
    """Argo tries a lost pod again; it goes on from the checkpoint, to the same classifier."""
    run_ids = []

    def delete(pod: str) -> None:
        run_ids.append(backend.run_of(pod))
        backend.until_checkpoint(undisturbed[0]["id"])
        backend.kubectl("delete", "pod", pod, "--wait=false")
        printed = backend.until_status(run_ids[0], "its pod was deleted")
        assert "run it again" not in printed, printed

    disturb(backend, report, "pod deleted in train-image", undisturbed, delete)
    logs = backend.mammo("pipeline", "logs", run_ids[0], "--step", "Train and evaluate")
    backend.keep("pod deleted in train-image-logs", logs)
    assert "resuming from a checkpoint" in logs, logs


def test_controller_restarts(backend, report, undisturbed):
    """Argo's controller goes away in the middle of a run, and goes on with it."""
    command = os.environ.get("MAMMO_RESTART_CONTROLLER") or (
        f"kubectl -n {backend.namespace} rollout restart deployment/workflow-controller"
    )

    def restart(_: str) -> None:
        subprocess.run(shlex.split(command), check=True)

    disturb(backend, report, "controller restarted", undisturbed, restart)


def test_terminate(backend, phantom, report):
    """A run that trains is terminated; its summary says so, and nothing of it works on."""
    run_id = backend.submit(settings=backend.settings(32))
    backend.until("train-patch to run", lambda: backend.working(run_id, "train-patch"))
    terminated(backend, report, "terminated while it trains", run_id)
    read = f'print(json.dumps(json.loads(store.read("runs/{run_id}/summary.json"))["state"]))'
    assert backend.python(f"import json\n{read}") == "terminated"


def kill_launcher(backend, pod: str) -> None:
    """End KFP's launcher in a step's container: it ends as one that the kernel killed, with 137.

    The first process is Argo's and hands that on; the step's own would end with 1.
    """
    children = 'for s in /proc/[0-9]*/stat; do set -- $(cat $s); [ "$4" = 1 ] && kill -9 $1; done'
    backend.kubectl("exec", pod, "-c", "main", "--", "sh", "-c", children, check=False)


def test_a_killed_container(backend, phantom, report):
    """It is named; with the shipped setting Argo tries it again, in smaller batches; else nobody.

    `mammo pipeline retry` goes on with the failed run.
    """
    defaults = backend.kubectl("get", "configmap", "workflow-controller-configmap", "-o", "yaml")
    retried = "lastRetry.exitCode" in defaults
    what = f"container killed in train-image, {'with' if retried else 'without'} the setting"
    run_id = backend.submit(settings=backend.settings(33 if retried else 34))
    kill_launcher(
        backend, backend.until("train-image", lambda: backend.working(run_id, "train-image"))
    )
    ended = backend.wait(run_id)
    if retried:
        report(what, ended)
        assert ended.state == "SUCCEEDED", ended.printed
        # By this variable a pod that is tried again works in smaller batches from its start.
        assert backend.attempts(run_id) == {"0", "1"}
        return
    failed(backend, report, what, ended, "killed without a word", "137")
    printed = backend.mammo("pipeline", "retry", run_id, "--wait", check=False)
    report("the same run after mammo pipeline retry", backend.wait(run_id))
    backend.keep("retry of a failed run", printed)
    assert backend.get(f"runs/{run_id}")["state"] == "SUCCEEDED", printed


def test_an_evicted_pod(backend, phantom, report):
    """A pod that fills its folder is evicted by the node; it is named, with its remedy."""

    def shrink(_, platform):
        for name, executor in platform.items():
            if name.startswith("exec-train"):
                for mount in executor["emptyDirMounts"]:
                    if mount["mountPath"] == "/scratch":
                        mount["sizeLimit"] = "64Ki"

    file = backend.compiled("train", shrink)
    ended = backend.run(settings=backend.settings(35), file=file)
    failed(backend, report, "evicted", ended, "evicted")
