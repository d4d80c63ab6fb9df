"""Results: scores as DICOM objects that refer to the images they are about."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.results.exam_record import ExamRecord, ModelRecord
    from mammo_core.results.measurement_report import measurement_report
    from mammo_core.results.write import ResultSummary, write_results

__all__ = ["ExamRecord", "ModelRecord", "ResultSummary", "measurement_report", "write_results"]

import_lazily(
    __name__,
    {
        "exam_record": ["ExamRecord", "ModelRecord"],
        "measurement_report": ["measurement_report"],
        "write": ["ResultSummary", "write_results"],
    },
)
