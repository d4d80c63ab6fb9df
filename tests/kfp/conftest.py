"""A real Kubeflow Pipelines, used only where MAMMO_VERIFY_KFP=1 (`make verify-kfp`).

MAMMO_KFP_HOST and KUBECONFIG name the backend, MAMMO_IMAGE_TAG the container images that its nodes
have. The namespace `mammo` has the object store and the Secrets, that of the runs
(MAMMO_KFP_NAMESPACE, default `kubeflow`) their copies: docs/cluster.md. The tests draw a phantom
into `s3://mammo-sources/verify-…`, push models of a name of their own, and leave both there.
MAMMO_VERIFY_KFP_NAME, the name of an earlier call, goes on with its champion.
MAMMO_RESTART_CONTROLLER is the command that restarts Argo's controller where it is no Deployment.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kfp.backend import Backend, Ended

_NEEDED = ("MAMMO_VERIFY_KFP", "MAMMO_KFP_HOST", "KUBECONFIG")
_SKIP = "a real KFP is used by `make verify-kfp` alone, with MAMMO_KFP_HOST and KUBECONFIG"
#: Longest time of a test, whose runs have limits of their own (seconds).
_TEST_S = 4 * 3600
#: Patients of the phantom, and of the larger one with new images.
PATIENTS, MORE_PATIENTS = 12, 16


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip all of this folder at once where no backend is named; else give its runs their time."""
    used = all(os.environ.get(name) for name in _NEEDED)
    marker = pytest.mark.timeout(_TEST_S) if used else pytest.mark.skip(reason=_SKIP)
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(marker)


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """The backend; nothing is started for it and nothing installed on it."""
    from pipelines.image_tag import source_tag

    tag = os.environ.get("MAMMO_IMAGE_TAG") or source_tag()
    namespace = os.environ.get("MAMMO_KFP_NAMESPACE", "kubeflow")
    folder = tmp_path_factory.mktemp("kfp")
    return Backend(os.environ["MAMMO_KFP_HOST"], namespace, str(tag), folder)


def _draw(backend: Backend, name: str, patients: int) -> str:
    uri = f"s3://mammo-sources/{name}"
    create = f"mammo phantom create /scratch/p --patients {patients} --seed 1 --size 576x448"
    put = f"mammo store put /scratch/p {uri}"
    backend.in_cluster("sh", "-c", f"{create} && {put}", secret="mammo-s3-upload")
    return uri


@pytest.fixture(scope="session")
def phantom(backend: Backend) -> str:
    """URI of a phantom in the store; the source of runs that name no other."""
    backend.source = _draw(backend, f"verify-{PATIENTS}", PATIENTS)
    return backend.source


@pytest.fixture(scope="session")
def larger_phantom(backend: Backend) -> str:
    """URI of a phantom with patients that are new."""
    return _draw(backend, f"verify-{MORE_PATIENTS}", MORE_PATIENTS)


@pytest.fixture(scope="session")
def report(
    backend: Backend, request: pytest.FixtureRequest
) -> Iterator[Callable[[str, Ended], None]]:
    """`report(what, ended)`: keep the time and the pods of a run; all are printed at the end."""
    lines = ["| what | state | seconds | pods |", "|---|---|---|---|"]

    def keep(what: str, ended: Ended) -> None:
        lines.append(f"| {what} | {ended.state} | {ended.seconds:.0f} | {ended.pods} |")
        backend.keep(what, ended.printed)

    yield keep
    text = "\n".join(lines)
    (backend.kept / "runs.md").write_text(text + "\n")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{text}")


@pytest.fixture(scope="session")
def trained(backend: Backend, phantom: str, report: Callable[[str, Ended], None]) -> Ended:
    """A whole run of `train`: its model is the champion of the tests' own name."""
    ended = backend.run(settings=backend.settings())
    report("train", ended)
    assert ended.state == "SUCCEEDED", ended.printed
    return ended
