import pandas as pd
import pytest

from mammo_core.errors import SourceError
from mammo_core.sources import SplitConfig, assign


def _images() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ["a", "b", "c"],
            "patient_key": ["P_1", "P_2", "P_3"],
            "malignant": [0, 1, 1],
            "lesion_types": ["mass", "calc", "mass"],
            "official_splits": ["train", "test", "test+train"],
        }
    )


def test_patients_go_where_they_are_told_and_others_are_excluded():
    given = SplitConfig(name="given", patients={"P_1": "train", "P_3": "validation"})
    result = assign(_images(), given)
    assert result.images["split"].tolist() == ["train", "excluded", "validation"]
    assert result.leaking == ["P_3"]


@pytest.mark.parametrize("patients", [{}, {"P_9": "train"}])
def test_unknown_or_no_patients_are_refused(patients):
    with pytest.raises(SourceError, match=r"patient keys of the source"):
        assign(_images(), SplitConfig(name="given", patients=patients))
