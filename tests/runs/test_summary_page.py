"""The page that the last task of a pipeline shows."""

from mammo_core.runs import Run, summarize
from mammo_core.runs.summary_page import summary_page


def test_a_run_that_failed_at_once_has_a_page_with_its_error(file_store):
    run = Run(file_store, "r1")
    error = "The recipe <x> cannot be found. Expected a name. Received '<x>'."
    run.write_status("index", "failed", 0.0, error=error)
    page = summary_page(summarize(run, "", "FAILED"))
    assert "Run r1" in page and "failed" in page
    assert "The recipe &lt;x&gt; cannot be found" in page and "<x>" not in page


def test_a_whole_run_has_its_result_its_gate_and_its_steps(file_store):
    run = Run(file_store, "r2")
    split = {"images": 20, "malignant": 6, "patients": 9}
    for step, output, counts, facts in (
        ("index", "tables/t1/manifest.json", {"images": 40}, {}),
        ("publish-features", "frames/f1/manifest.json", {}, {"splits": {"train": split}}),
        (
            "evaluate",
            "evaluations/e1/manifest.json",
            {},
            {
                **{"auc": 0.8779, "auc_ci95": [0.81, 0.93], "patch_accuracy": 0.875},
                **{"n_test_images": 13, "n_test_views": 12, "n_test_patients": 5},
                "report": "evaluations/e1/a/report.html",
            },
        ),
        ("gate", "", {}, {"gate": {"passed": True, "reasons": ["AUC 0.88 ≥ 0.70, the floor"]}}),
        ("push", "", {}, {"model_uri": "s3://mammo/models/cbis/3", "model_id": "m"}),
    ):
        details = {"output": output} if output else {}
        run.write_status(step, "succeeded", 0.0, facts=facts, counts=counts, **details)
    page = summary_page(summarize(run, "phantom", "COMPLETE"))
    for text in (
        *("phantom: succeeded", "0.8779", "95 % interval 0.810 to 0.930", "of 5 patients"),
        *("passed: AUC 0.88 ≥ 0.70, the floor", "s3://mammo/models/cbis/3", "40 images"),
        *("evaluations/e1/a/report.html", "publish-features", ">20<"),
    ):
        assert text in page, text
    assert "<script" not in page
