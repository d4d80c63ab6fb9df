import pytest

from mammo_core.dicom.headers.study_header import read_study_header
from tests.support.exam_results import write_image


@pytest.fixture
def headers(tmp_path):
    """`headers(record, **fields)`: the headers of files of the exam."""

    def read(record, **fields):
        return {
            image.id: read_study_header(
                write_image(
                    tmp_path / f"{number}.dcm",
                    number,
                    laterality=image.laterality[:1],
                    view=image.view,
                    **fields,
                ),
                f"{number}.dcm",
            )
            for number, image in enumerate(record.images, start=1)
        }

    return read
