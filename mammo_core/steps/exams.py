"""The breasts of a frame's images, for networks that see both views."""

import pandas as pd

from mammo_core.datasets.exams import Exam


def exams_of(images: pd.DataFrame) -> dict[str, Exam]:
    """Return breast id (`<patient>/<laterality>`) to its views, of rows of a frame.

    Of several files of a view the one with the first id is taken; a breast is malignant
    where any of its images is. Images of other views belong to no breast here.
    """
    found: dict[str, Exam] = {}
    for row in images.sort_values("image_id").itertuples():
        view = str(row.view).upper()
        if view not in ("CC", "MLO"):
            continue
        name = breast_of(row)
        exam = found.get(name, Exam(None, None, 0))
        label = max(exam.label, int(row.label))
        image = str(row.image_id)
        if view == "CC":
            found[name] = Exam(exam.cc or image, exam.mlo, label)
        else:
            found[name] = Exam(exam.cc, exam.mlo or image, label)
    return found


def breast_of(row: object) -> str:
    """Return the id of an image's breast."""
    return f"{row.patient_key}/{row.laterality}"  # type: ignore[attr-defined]
