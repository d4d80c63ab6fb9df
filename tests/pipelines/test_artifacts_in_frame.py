"""Every page that a pipeline shows opens in KFP's web page, in a frame that may run scripts only.

KFP's viewer (HTMLViewer.tsx at 2.17.0) sets `srcdoc` of a frame with `sandbox="allow-scripts"`: a
page has an origin of its own there, no storage, and loads nothing of another origin.
"""

import html
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mammo_core.reporting import Page, Table, training_plot
from mammo_core.runs import Run, summarize
from mammo_core.runs.summary_page import summary_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
#: A folder with the artifacts of a local run, to open those of a whole run: runs/ID/artifacts.
ARTIFACTS = "MAMMO_RUN_ARTIFACTS"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

# Within the frame: what the browser made of the page is shown to the page around it.
_PROBE = """<script>
addEventListener("securitypolicyviolation", event => problems.push("blocked: " + event.blockedURI));
addEventListener("load", () => parent.postMessage({
  heading: (document.querySelector("h1") || {innerText: ""}).innerText,
  text: document.body.innerText.length,
  broken: [...document.images].filter(image => !image.naturalWidth).length,
  images: document.images.length,
  wider: document.documentElement.scrollWidth > innerWidth,
  requests: performance.getEntriesByType("resource").map(entry => entry.name)
    .filter(name => !name.startsWith("data:")),
  problems: problems,
}, "*"));
</script></body>"""
_ERRORS = """<script>
const problems = [];
addEventListener("error", event => problems.push(event.message || "not loaded"), true);
</script>"""
# The listener stands before the frame, so no message is missed.
_AROUND = """<!doctype html><html><body><script>
addEventListener("message", event => fetch("/answer", {{
  method: "POST", body: JSON.stringify(event.data),
}}));
</script>
<iframe sandbox="allow-scripts" width="1200" height="700" srcdoc="{page}"></iframe>
</body></html>"""
#: How long a browser may take on a machine that is busy with other tests, in seconds.
_PATIENCE = 180


def in_frame(page: str, folder: Path) -> dict:
    """Open a page as KFP's viewer does, and return what the browser made of it."""
    probed = page.replace("<head>", "<head>" + _ERRORS, 1).replace("</body>", _PROBE)
    around = _AROUND.format(page=html.escape(probed, quote=True)).encode()
    answers: queue.Queue[bytes] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(around if self.path == "/" else b"")

        def do_POST(self) -> None:
            answers.put(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(b"")

        def _reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # The browser answers by itself: a dump of its page at a set time may come too early.
        browser = subprocess.Popen(
            [
                str(CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
                f"--user-data-dir={folder}/profile",
                f"http://127.0.0.1:{server.server_port}/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return json.loads(answers.get(timeout=_PATIENCE))
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
            server.shutdown()


def a_summary(folder):
    from mammo_core.store import open_store

    run = Run(open_store((folder / "store").as_uri()), "r1")
    facts = {"auc": 0.88, "auc_ci95": [0.8, 0.9], "patch_accuracy": 0.8, "n_test_images": 13}
    run.write_status("evaluate", "succeeded", 0.0, facts={**facts, "n_test_patients": 5})
    run.write_status("gate", "failed", 0.0, error="It failed. Expected a. Received b.")
    return summary_page(summarize(run, "phantom", "FAILED"))


def a_page_with_figures(folder):
    history = [
        {"stage": 1, "epoch": n, "loss": 1 / n, "val_loss": 1.2 / n, "accuracy": 0.5, "auc": 0.6}
        for n in (1, 2, 3)
    ]
    table = Table.from_records(
        pd.DataFrame({"name": list("abc"), "n": np.arange(3)}).to_dict("records")
    )
    return (
        Page("Training", "a subtitle")
        .section("Curves")
        .figure(training_plot(history, "curves"), "loss")
        .table(table)
        .html()
    )


@pytest.mark.parametrize("make", [a_summary, a_page_with_figures])
def test_a_page_opens_in_a_frame_with_scripts_only(make, tmp_path):
    shown = in_frame(make(tmp_path), tmp_path)
    assert shown["heading"] and shown["text"] > 100
    assert (shown["broken"], shown["requests"], shown["problems"]) == (0, [], [])
    assert not shown["wider"]


def test_a_page_that_loads_something_is_noticed(tmp_path):
    page = "<html><head></head><body><h1>a</h1><img src='http://127.0.0.1:9/a.png'></body></html>"
    shown = in_frame(page, tmp_path)
    assert shown["broken"] == 1 and shown["problems"]


@pytest.mark.skipif(ARTIFACTS not in os.environ, reason=f"{ARTIFACTS} names no artifacts of a run")
def test_every_html_artifact_of_a_run_opens(tmp_path):
    pages = [
        path
        for path in sorted(Path(os.environ[ARTIFACTS]).rglob("*"))
        if path.is_file() and path.read_bytes()[:15].lower() == b"<!doctype html>"
    ]
    assert pages
    for number, path in enumerate(pages):
        folder = tmp_path / str(number)
        folder.mkdir()
        shown = in_frame(path.read_text(), folder)
        print(path.name, shown)
        assert shown["text"] > 100, path
        assert (shown["broken"], shown["requests"], shown["problems"]) == (0, [], []), path
