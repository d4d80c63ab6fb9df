"""Reports in a real browser: nothing is broken or wider than a laptop, a phone or paper."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from mammo_core.evaluation import EvaluationConfig, compare, evaluate, report
from mammo_core.evaluation.report.comparison import comparison_report
from mammo_core.reporting import Overlay

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

# Appended to the page; the dumped DOM then contains the measurements of the browser.
_PROBE = """<script>
if (location.hash == "#paper") {  // the rules for printing hold on this screen
  const rules = [...document.styleSheets[0].cssRules].filter(rule => rule.media);
  const print = rules.filter(rule => rule.media.mediaText == "print");
  const text = print.flatMap(rule => [...rule.cssRules].map(inner => inner.cssText)).join(" ");
  document.head.insertAdjacentHTML("beforeend", `<style>${text}</style>`);
}
const layout = {
  tables: [...document.querySelectorAll("table")].map(table => table.getBoundingClientRect().right),
  images: [...document.images].map(image => [image.complete, image.naturalWidth]),
  width: document.documentElement.scrollWidth,
  window: window.innerWidth,
  smallest: Math.min(...[...document.querySelectorAll("p, td, th, dd")]
    .map(part => parseFloat(getComputedStyle(part).fontSize))),
  requests: performance.getEntriesByType("resource")
    .map(entry => entry.name).filter(name => !name.startsWith("data:")),
};
document.body.insertAdjacentHTML("beforeend", "<pre id=layout></pre>");
document.getElementById("layout").textContent = JSON.stringify(layout);
</script></body>"""


def layout_of(page, folder, width=1366, fragment=""):
    return dump(page.replace("</body>", _PROBE), folder, width, fragment)


def dump(page, folder, width=1366, fragment=""):
    """What the page measures, in its element `layout`."""
    (folder / "page.html").write_text(page)
    done = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},768"),
            *(
                f"--user-data-dir={folder}/profile",
                "--dump-dom",
                f"file://{folder}/page.html{fragment}",
            ),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(html.unescape(re.findall(r'<pre id="layout">(.*?)</pre>', done.stdout)[0]))


def tables(gain):
    import pandas as pd

    random = np.random.default_rng(0)
    labels = np.tile([0, 0, 0, 1], 60)
    names = [f"P_{n:05d}" for n in range(120)]
    return pd.DataFrame(
        {
            "image_id": [f"{n:064x}" for n in range(240)],
            "patient_key": np.repeat(names, 2),
            "view_id": [f"{name}_LEFT_{view}" for name in names for view in ("CC", "MLO")],
            "laterality": np.tile(["LEFT", "RIGHT"], 120),
            "view": np.tile(["CC", "MLO"], 120),
            "view_class": np.tile(["CC", "MLO"], 120),
            "exam_key": "",
            "label": labels,
            "probability": 1 / (1 + np.exp(-(gain * labels + random.normal(size=240)))),
            "source": "cbis_ddsm",
            "breast_density": np.tile([1, 2, 3, 4], 60),
            "lesion_types": "calc+mass",
        }
    )


@pytest.fixture(scope="module")
def pages():
    config = EvaluationConfig(bootstrap_replicates=100)
    good, weak = tables(2.0), tables(0.5)
    others = good.assign(patient_key="V" + good["patient_key"])
    result = evaluate(good, others, config, 0)
    image = np.full((576, 448), 9000, np.uint16)
    heat = np.full((576, 448), 0.4)
    return {
        "evaluation": report(
            title="official-without-leak-resnet50-S10-1152x896: evaluation",
            facts={"Image dataset": "f" * 64},
            result=result,
            overlays=[Overlay(image, heat, image > 0, "P_00001 LEFT CC")],
            regions=[{"view": "P_00001_LEFT_CC", "row": 3, "in an annotated lesion": True}],
            rejects=[
                {"item": "a/" * 80, "kind": "image", "reason": "truncated " * 30, "step": "c"}
            ],
        ),
        "comparison": comparison_report(compare(good, weak, config, 0), facts={"Id": "a" * 64}),
    }


@pytest.mark.parametrize("name", ["evaluation", "comparison"])
def test_a_report_on_a_laptop(pages, name, tmp_path):
    layout = layout_of(pages[name], tmp_path)
    assert layout["window"] == 1366
    assert layout["width"] <= 1366  # no horizontal scrolling
    assert len(layout["images"]) >= (2 if name == "comparison" else 6)
    assert all(complete and width > 200 for complete, width in layout["images"])
    assert layout["smallest"] >= 13
    assert layout["requests"] == []  # no network requests


@pytest.mark.parametrize("name", ["evaluation", "comparison"])
def test_a_report_on_a_phone(pages, name, tmp_path):
    """In a frame of 390 pixels: the windows of Chromium are wider."""
    inner = (
        pages[name]
        .replace("</body>", _PROBE)
        .replace("</body>", "<script>parent.postMessage(layout, '*')</script></body>")
    )
    (tmp_path / "inner.html").write_text(inner)
    outer = (
        '<body><iframe src="inner.html" style="width:390px;height:800px;border:0"></iframe>'
        '<pre id="layout"></pre><script>addEventListener("message", event => document'
        '.getElementById("layout").textContent = JSON.stringify(event.data))</script></body>'
    )
    layout = dump(outer, tmp_path)
    assert layout["window"] == 390 and layout["width"] <= 390
    assert layout["smallest"] >= 13


@pytest.mark.parametrize("name", ["evaluation", "comparison"])
def test_a_report_on_paper(pages, name, tmp_path):
    """A4 without its margins of 14 mm is 182 mm wide, 688 pixels of CSS."""
    layout = layout_of(pages[name], tmp_path, width=688, fragment="#paper")
    assert layout["window"] == 688 and layout["width"] <= 688
    assert layout["tables"] and max(layout["tables"]) <= 688 + 1
