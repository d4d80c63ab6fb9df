"""A Kubeflow Pipelines that really runs, as the tests of this folder use it.

What is judged is read from KFP's own API and from Kubernetes; what is printed, from `mammo`.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from pipelines.platform import SIGNING_SECRET, STEP_LABEL, USER

#: Overrides of the recipe `phantom`: one epoch of patches, a few short ones of images (a checkpoint
#: follows each, and pods are lost in between), and a gate that lets it pass.
SMALL = (
    'patch_training.stages=[{"train": "all", "learning_rate": 0.001, "epochs": 1}]',
    'image_training.stages=[{"train": "head", "learning_rate": 0.001, "epochs": 6}]',
    "gate.min_auc=0.0",
    "gate.margin=1.0",
)
_ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
#: Longest wait for a run, on a machine that is busy with others (seconds).
RUN_S = 3600.0


@dataclass(frozen=True)
class Ended:
    """A run that came to its end.

    Attributes:
        run_id: Id that KFP gave it.
        state: KFP's last word.
        history: All its states.
        seconds: From its creation to its end.
        pods: Pods that it had.
        printed: What `mammo pipeline wait` printed.
    """

    run_id: str
    state: str
    history: tuple[str, ...]
    seconds: float
    pods: int
    printed: str


class Backend:
    """The backend that MAMMO_KFP_HOST and KUBECONFIG name.

    Attributes:
        namespace: Namespace of the runs.
        tag: Tag of our container images on its nodes.
        folder: Where compiled pipelines and what was printed are kept.
        store: URI of the store.
        source: URI of the phantom.
        kept: Where what was printed stays.
    """

    def __init__(self, host: str, namespace: str, tag: str, folder: Path) -> None:
        self._host = host.rstrip("/")
        self.namespace = namespace
        self.tag = tag
        self.folder = folder
        self.store = os.environ.get("MAMMO_STORE", "s3://mammo")
        self.source = ""
        self.kept = Path("build/verify-kfp")
        #: Name of the models of these tests: those of others stay alone.
        self.name = os.environ.get("MAMMO_VERIFY_KFP_NAME") or f"verify-{uuid4().hex[:8]}"
        self.signed = bool(self.kubectl("get", "secret", SIGNING_SECRET, check=False))

    def kubectl(self, *words: object, text: str | None = None, check: bool = True) -> str:
        """Run kubectl in the namespace of the runs; without `check`, a failure gives no text."""
        line = ["kubectl", "-n", self.namespace, *map(str, words)]
        done = subprocess.run(line, input=text, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if done.returncode == 0 else ""

    def mammo(self, *words: object, check: bool = True) -> str:
        """Run the command line as a user does; return all that it printed."""
        line = [str(Path(sys.executable).parent / "mammo"), *map(str, words)]
        done = subprocess.run(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def get(self, path: str) -> dict[str, Any]:
        """Return KFP's answer."""
        request = urllib.request.Request(f"{self._host}/apis/v2beta1/{path}")
        if token := os.environ.get("MAMMO_KFP_TOKEN"):
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: dict[str, Any] = json.load(answer)
        return content

    def settings(self, seed: int = 1, *more: str, name: str = "") -> list[str]:
        """Return the overrides of a small run whose model belongs to these tests alone."""
        return [*SMALL, f"model_name={name or self.name}", f"seed={seed}", *more]

    def submit(
        self,
        pipeline: str = "train",
        *,
        settings: Sequence[str] = (),
        recipe: str = "phantom",
        source: str | None = None,
        account: str = "mammo-run",
        more: Sequence[str] = (),
        file: Path | None = None,
        tag: str | None = None,
    ) -> str:
        """Submit a run and return its id."""
        words = ["pipeline", "run", "--pipeline", pipeline, "--service-account", account]
        if pipeline != "score":
            words += ["--recipe", recipe]
            for setting in settings:
                words += ["--set", setting]
        words += ["--store", self.store if pipeline != "score" else "s3://mammo-scores"]
        words += ["--source", source or self.source]
        words += ["--file", str(file)] if file else ["--image-tag", tag or self.tag]
        if self.signed and not file and pipeline != "score":
            words.append("--signed")
        printed = self.mammo(*words, *more)
        return printed.split("submitted ")[1].split("run ")[1].split()[0]

    def wait(self, run_id: str, seconds: float = RUN_S) -> Ended:
        """Wait for the end of a run with `mammo pipeline wait`."""
        printed = self.mammo("pipeline", "wait", run_id, "--timeout", seconds, check=False)
        run = self.get(f"runs/{run_id}")
        assert run["state"] in _ENDED, f"{run_id} is {run['state']}:\n{printed}"
        history = tuple(entry["state"] for entry in run["state_history"] if "state" in entry)
        span = _time(run["finished_at"]) - _time(run["created_at"])
        return Ended(
            run_id, run["state"], history, span.total_seconds(), len(self.pods(run_id)), printed
        )

    def run(self, pipeline: str = "train", **arguments: Any) -> Ended:
        """Submit a run and wait for its end."""
        return self.wait(self.submit(pipeline, **arguments))

    def pods(self, run_id: str) -> list[dict[str, Any]]:
        """Return the pods of a run."""
        words = ["get", "pods", "-l", f"pipeline/runid={run_id}", "-o", "json"]
        pods: list[dict[str, Any]] = json.loads(self.kubectl(*words))["items"]
        return pods

    def working(self, run_id: str, step: str) -> str:
        """Return the pod in which a step has begun its work; empty: there is none."""
        for pod in self.pods(run_id):
            name = str(pod["metadata"]["name"])
            works = STEP_LABEL in pod["metadata"]["labels"] and pod["status"]["phase"] == "Running"
            if works and f"[{step}]" in self.kubectl("logs", name, "-c", "main", check=False):
                return name
        return ""

    def run_of(self, pod: str) -> str:
        """Return the run of a pod."""
        return self.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.labels.pipeline/runid}")

    def attempts(self, run_id: str) -> set[str]:
        """Return the values of KFP_RETRY_INDEX in the pods of our steps."""
        return {
            str(variable.get("value"))
            for pod in self.pods(run_id)
            if STEP_LABEL in pod["metadata"]["labels"]
            for container in pod["spec"]["containers"]
            for variable in container.get("env", [])
            if variable["name"] == "KFP_RETRY_INDEX"
        }

    def until_checkpoint(self, id: str) -> None:
        """Wait until a training has a checkpoint in the store."""
        self.python(
            f"""
import json, time
end = time.monotonic() + 900
while not list(store.list("checkpoints/{id}")):
    assert time.monotonic() < end, "no checkpoint"
    time.sleep(0.5)
print(json.dumps(True))
"""
        )

    def record(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return step → what the run's record says of it."""
        statuses: dict[str, dict[str, Any]] = self.python(
            "import json; from mammo_core.runs import Run\n"
            f"print(json.dumps(Run(store, {run_id!r}).statuses()))"
        )
        return statuses

    def compiled(
        self, pipeline: str, edit: Callable[[dict[str, Any], dict[str, Any]], None]
    ) -> Path:
        """Compile a pipeline and edit its executors: those of the pipeline, those of Kubernetes."""
        path = self.folder / f"{pipeline}-{uuid4().hex[:8]}.yaml"
        signed = ["--signed"] if self.signed and pipeline != "score" else []
        words = ["pipeline", "compile", path, "--pipeline", pipeline, "--image-tag", self.tag]
        self.mammo(*words, *signed)
        spec, platform = yaml.safe_load_all(path.read_text())
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        edit(spec["deploymentSpec"]["executors"], executors)
        path.write_text(yaml.safe_dump_all([spec, platform]))
        return path

    def until(self, what: str, ask: Callable[[], Any], seconds: float = 900.0) -> Any:
        """Ask until there is an answer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := ask():
                return answer
            time.sleep(3)
        raise AssertionError(f"waited {seconds:.0f} s for {what}")

    def until_status(self, run_id: str, *words: str, seconds: float = 600.0) -> str:
        """Ask `mammo pipeline status` until it names something; return what it printed."""

        def names() -> str:
            printed = self.mammo("pipeline", "status", run_id, check=False)
            return printed if all(word.lower() in printed.lower() for word in words) else ""

        printed = str(self.until(f"status of {run_id} to name {words}", names, seconds))
        self.keep(f"{'-'.join(words)}-status", printed)
        return printed

    def keep(self, name: str, text: str) -> None:
        """Keep what was printed, for people to read."""
        self.kept.mkdir(parents=True, exist_ok=True)
        letters = "".join(letter if letter.isalnum() else "-" for letter in name)
        (self.kept / f"{letters}.txt").write_text(text)

    def in_cluster(self, *command: str, image: str = "data", secret: str = "mammo-s3-admin") -> str:
        """Run a command in a pod of its own in the namespace mammo; return its log."""
        name = f"verify-{uuid4().hex[:8]}"
        manifest = json.dumps(_pod(name, f"mammo-pipelines/{image}:{self.tag}", command, secret))
        self.kubectl("-n", "mammo", "apply", "-f", "-", text=manifest)
        phase = ("-n", "mammo", "get", "pod", name, "-o", "jsonpath={.status.phase}")
        ended = self.until(
            f"the pod {name}", lambda: self.kubectl(*phase) in ("Succeeded", "Failed"), 1200
        )
        log = self.kubectl("-n", "mammo", "logs", name)
        assert ended and self.kubectl(*phase) == "Succeeded", log
        self.kubectl("-n", "mammo", "delete", "pod", name, "--wait=false")
        return log

    def python(self, program: str) -> Any:
        """Run a Python program with the rights of `admin`; return the JSON of its last line."""
        head = f"from mammo_core.store import open_store\nstore = open_store({self.store!r})\n"
        return json.loads(self.in_cluster("python", "-c", head + program).splitlines()[-1])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _pod(name: str, image: str, command: Sequence[str], secret: str) -> dict[str, Any]:
    """Return a pod that the admission policies of `manifests/base` admit."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {STEP_LABEL: "true"}},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "mammo-job",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": list(command),
                    "envFrom": [
                        {"secretRef": {"name": secret}},
                        {"configMapRef": {"name": "mammo-defaults"}},
                    ],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "256Mi"},
                        "limits": {"memory": "4Gi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "scratch", "mountPath": "/scratch"},
                        {"name": "ca", "mountPath": "/etc/mammo/ca", "readOnly": True},
                        {"name": "trust", "mountPath": "/etc/mammo/trust", "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                {"name": "scratch", "emptyDir": {"sizeLimit": "4Gi"}},
                {"name": "ca", "configMap": {"name": "mammo-ca", "optional": True}},
                {"name": "trust", "configMap": {"name": "mammo-trust", "optional": True}},
            ],
        },
    }
