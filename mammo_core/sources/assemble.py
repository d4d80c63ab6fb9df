"""Cases of any adapter in, the tables of images, lesions and rejects out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_core.errors import SourceError
from mammo_core.sources.files.image_files import describe
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase, case_facts
from mammo_core.sources.identity.exams import (
    HeaderKeys,
    assign_days,
    mixed_exams,
    order_acquisitions,
    read_header_keys,
    split_patients,
    with_exam,
)
from mammo_core.sources.identity.patients import is_public
from mammo_core.sources.lesions.lesion_rows import (
    lesion_row,
    list_lesions,
    read_lesion_mask,
    reject_lesions,
)
from mammo_core.sources.tables.image_rows import CaseFile, ViewLabels, choose_file, group_images
from mammo_core.sources.tables.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    ProgressCall,
    Rejects,
    Row,
    SourceTables,
    run_all,
    table_of,
    threads,
)


def assemble(
    files: SourceFiles,
    source: str,
    cases: Sequence[ImageCase],
    rejects: Rejects,
    *,
    facts: Mapping[str, Any],
    file_facts: Mapping[str, Any] | None = None,
    site_key: bytes | None = None,
    header_views: Mapping[str, str] | None = None,
    view_labels: ViewLabels = "by_exam",
    lesions_need_images: bool = False,
    progress: ProgressCall | None = None,
    workers: int | None = None,
) -> SourceTables:
    """Read every image and mask of the cases, and build the tables.

    Byte-identical files are one image, in every split of its cases. An image that belongs to
    several views, whose header contradicts side or view, or whose label contradicts that of
    another image of the view, is rejected.

    An exam is what the case names; else, with a site key, the DICOM study; else its date; else a
    patient has one exam.

    Args:
        files: The files of the source.
        source: Name of the source in the tables.
        cases: The images that the source describes; rejects keep their order.
        rejects: What was left out so far; more is added.
        facts: Other facts of the source; they replace counts of the same name, and add to its
            `warnings`.
        file_facts: Other counts of its files.
        site_key: The site key, for a site's own files: patients and studies of headers are used.
            None for a published collection, in which every image may be a study.
        header_views: View in a header → the view that the collection means by it.
        view_labels: What images of one view may say about their label.
        lesions_need_images: Whether each lesion of a rejected image is a reject of its own.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: No image can be used.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    with threads(workers) as pool:
        paths = {path for case in cases for path in case.paths if path in files.entries}
        names = sorted(paths)
        described = run_all(pool, lambda name: describe(files, name), names, "images", progress)
        by_path = dict(zip(names, described, strict=True))
        files_of_cases = [choose_file(case, by_path, header_views or {}, rejects) for case in cases]
        chosen = [image for image in files_of_cases if image is not None]
        del paths, described, by_path, files_of_cases  # as large as the tables
        warnings: list[Row] = list(facts.get("warnings", []))
        if site_key is not None:
            keys = run_all(
                pool, lambda image: _header_keys(files, image, site_key), chosen, "headers", None
            )
            warnings += _patient_warnings(chosen, keys)
            warnings += _exam_warnings(chosen, keys)
            chosen = [
                with_exam(image, ids, site_key) for image, ids in zip(chosen, keys, strict=True)
            ]
        images, usable = group_images(source, chosen, view_labels, rejects)
        if not images:
            raise SourceError(
                f"No image of the source {source} can be used",
                expected="at least one mammogram under the root",
                received=_describe_rejects(rejects, len(cases)),
            )
        assign_days(files, images, site_key is not None, site_key)
        order_acquisitions(files, images)
        if lesions_need_images:
            reject_lesions([case for case in cases if id(case) not in usable], rejects)
        lesions = list_lesions(images)
        masks = run_all(
            pool, lambda lesion: read_lesion_mask(files, lesion), lesions, "masks", progress
        )
    rows: list[Row] = []
    rescaled: list[str] = []
    for lesion, mask in zip(lesions, masks, strict=True):
        if isinstance(mask, str):
            rejects.add(lesion.case.item, "lesion", mask)
            continue
        rows.append(lesion_row(lesion, mask))
        warnings += [
            {"code": "mask", "message": f"{lesion.case.item}: {text}"} for text in mask.warnings
        ]
        if mask.rescaled:
            rescaled.append(lesion.lesion_id)
    by_original = {id(image.original): image.case for image in chosen}
    per_view = Counter(str(image.row["view_id"]) for image in images)
    return SourceTables(
        images=table_of([image.row for image in images], IMAGE_COLUMNS),
        lesions=table_of(sorted(rows, key=lambda row: str(row["lesion_id"])), LESION_COLUMNS),
        rejects=table_of(rejects.rows, REJECT_COLUMNS),
        facts={
            **case_facts([by_original.get(id(case), case) for case in cases]),
            **facts,
            "warnings": warnings,
            "files": {
                "image_files": len(names),
                "images": len(images),
                "identical_files": len(chosen) - len(images),
                "views": len(per_view),
                "views_with_several_images": sum(count > 1 for count in per_view.values()),
                "lesions": len(rows),
                "rescaled_masks": sorted(rescaled),
                **(file_facts or {}),
                "rejects": rejects.by_kind(),
            },
        },
    )


def _header_keys(files: SourceFiles, image: CaseFile, key: bytes) -> HeaderKeys:
    """Return the keyed ids of a header; none for a published patient, whose images are studies."""
    if is_public(image.case.patient_key):
        return HeaderKeys()
    return read_header_keys(files, image.path, key)


def _patient_warnings(chosen: Sequence[CaseFile], keys: Sequence[HeaderKeys]) -> list[Row]:
    """Return a warning if the source counts one patient of the headers as several."""
    by_header, by_source = split_patients(list(zip(chosen, keys, strict=True)))
    if not by_header:
        return []
    return [
        {
            "code": "patients",
            "message": f"The source counts {by_source} patients where the headers of the same "
            f"files name {by_header}: a patient may be in several splits. Expected one name for "
            "each patient. (Headers that were de-identified may share one name.)",
        }
    ]


def _exam_warnings(chosen: Sequence[CaseFile], keys: Sequence[HeaderKeys]) -> list[Row]:
    """Return a warning if the source mixes images that headers call different studies."""
    mixed, divided = mixed_exams(list(zip(chosen, keys, strict=True)))
    if not mixed and not divided:
        return []
    return [
        {
            "code": "exams",
            "message": f"Exams of the source and studies of the headers differ: {mixed} exams have "
            f"images of several studies, and the images of {divided} studies are in several exams. "
            "Expected an exam for each visit. (Some archives make a study of each image.)",
        }
    ]


def _describe_rejects(rejects: Rejects, cases: int) -> str:
    first = str(rejects.rows[0]["reason"]) if rejects.rows else "no case"
    return f"{cases} cases, all rejected, the first: {first}" if cases else first
