"""CPU seconds and memory of checking a table of many rows, and the growth with its columns.

python benchmarks/table.py [--rows 1000000] [--columns 11] [--wrong] [--json]
Each measurement runs in a process of its own. The rows are those of a site: four images of each
exam, two exams of each patient, a box in every tenth row; with --wrong, every row has a fault.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURE = """
import json, resource, sys, time
from mammo_core.sources import SourceConfig
from mammo_core.sources.check import check_source
config = SourceConfig(
    adapter="table", root=".", tables=sys.argv[1],
    table={"ignore": ["*"], "patient_ids_in_paths": False},
)
start = time.process_time()
facts = check_source(config, False)
print(json.dumps({
    "cpu_s": round(time.process_time() - start, 1),
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "views": facts["views"], "patients": facts["patients"], "problems": len(facts["problems"]),
}))
"""
HEADER = (
    "image_path", "patient_id", "laterality", "view", "label", "breast_density", "lesion_type",
    "pathology", "lesion_box", "exam_id", "exam_date",
)  # fmt: skip
VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def write_table(path: Path, rows: int, columns: int, wrong: bool) -> None:
    """Write a table of so many rows; columns beyond ours are comments."""
    more = [f"comment_{at}" for at in range(columns - len(HEADER))]
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join([*HEADER, *more]) + "\n")
        for row in range(rows):
            patient, exam, (side, view) = row // 8, row // 4, VIEWS[row % 4]
            box = f"{row % 900} {row % 700} 120 90"
            lesion = ["mass", "benign", box] if row % 10 == 0 else ["", "", ""]
            label = "malignant" if exam % 20 == 0 else "benign"
            label = "no label" if wrong else label
            cells = [
                f"{exam % 1000:03}/{exam:08}/{row:09}.dcm", f"P-{patient:07}", side, view,
                label, "ABCD"[patient % 4], *lesion,
                f"E-{exam:08}", f"20{10 + exam % 2 + patient % 8:02}-03-{1 + exam % 28:02}",
            ]  # fmt: skip
            file.write(",".join([*cells, *["x"] * len(more)]) + "\n")


def measure(rows: int, columns: int, wrong: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="mammo-table-") as folder:
        path = Path(folder) / "own.csv"
        write_table(path, rows, columns, wrong)
        command = [sys.executable, "-c", MEASURE, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        return {"rows": rows, "columns": columns, **json.loads(result.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=len(HEADER))
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.rows, options.columns, options.wrong)
    print(json.dumps(result) if options.json else result)


if __name__ == "__main__":
    main()
