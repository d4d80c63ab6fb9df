"""The card of an indexed data set: Croissant 1.1 with the properties of responsible AI (RAI 1.0).

Croissant (mlcommons.org/croissant) describes a data set as JSON-LD: its files with their digests,
the columns of its tables, its license. The RAI properties say how it was made, whom it shows and
what it is not good for. Everything here is counted from the tables; nothing is about one patient.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from mammo_core.sources.card.terms import Terms

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd

    from mammo_core.datasets.manifests import StoredFile
    from mammo_core.sources.tables.source_tables import SourceTables

#: Name of the card among the files of the tables.
CARD: Final = "croissant.json"
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES: Final = {"i": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}
_KEYS: Final = {"images": "image_id", "lesions": "lesion_id"}
#: Column of the table of images → what it is called in the card.
_DISTRIBUTIONS: Final = {
    "manufacturer": "manufacturer",
    "view": "view",
    "image_type": "type of image",
    "breast_density": "BI-RADS density (0: unknown)",
    "label_origin": "origin of the label",
    "race": "race",
    "ethnicity": "ethnicity",
    "age_band": "age",
    "site": "site",
}
_LISTED: Final = 20


def croissant_card(
    tables: "SourceTables",
    files: "Sequence[StoredFile]",
    *,
    adapter: str,
    id: str,
    terms: Terms | None,
) -> dict[str, Any]:
    """Return the card of the tables of a source, as JSON-LD.

    Args:
        tables: The tables.
        files: Their Parquet files: `images.parquet`, `lesions.parquet`, `rejects.parquet`.
        adapter: The adapter of the source.
        id: Id of the tables.
        terms: License and terms of the data; None if nobody stated them.
    """
    images = tables.images
    by_name = {"images": images, "lesions": tables.lesions, "rejects": tables.rejects}
    stored = {file.name: file for file in files}
    objects = [
        _file_object(stored[f"{name}.parquet"]) for name in by_name if f"{name}.parquet" in stored
    ]
    patients = images["patient_key"].nunique()
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": f"{adapter} {id[:12]}",
        "description": f"Tables of {len(images)} mammograms of {patients} patients, read by the "
        f"adapter {adapter}: images with labels and what each is, lesions with their masks, and "
        "what was left out with the reason. The pixels are in the files of the source.",
        "version": "1.0.0",
        "url": terms.url if terms is not None and terms.url else f"urn:mammo:tables:{id}",
        "license": terms.license if terms is not None else "not stated",
        **({"usageInfo": terms.text()} if terms is not None else {}),
        "distribution": objects,
        "recordSet": [
            _record_set(name, table)
            for name, table in by_name.items()
            if f"{name}.parquet" in stored
        ],
        **_responsible(tables, adapter, terms),
    }


def _file_object(file: "StoredFile") -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file.sha256,
    }


def _record_set(name: str, table: "pd.DataFrame") -> dict[str, Any]:
    record_set: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "dataType": _TYPES.get(table[column].dtype.kind, "sc:Text"),
                "source": {
                    "fileObject": {"@id": f"{name}.parquet"},
                    "extract": {"column": column},
                },
            }
            for column in table.columns
        ],
    }
    if name in _KEYS:
        record_set["key"] = {"@id": f"{name}/{_KEYS[name]}"}
    return record_set


def _responsible(tables: "SourceTables", adapter: str, terms: Terms | None) -> dict[str, Any]:
    """Return the RAI properties that the tables can answer."""
    images, rejects = tables.images, tables.rejects
    faults = int((rejects["cause"] == "").sum())
    malignant = int((images["malignant"] == 1).sum())
    conditions = [*terms.conditions, *(f"forbids {use}" for use in terms.forbids)] if terms else []
    return {
        "rai:dataCollection": "Mammograms and tables of a source, read as they are by the adapter "
        f"{adapter}. Files are identified by their SHA-256 digests or keyed digests.",
        "rai:dataCollectionType": ["Others"],
        "rai:dataCollectionMissingData": f"{faults} rows, images or lesions had a fault and were "
        f"left out; {len(rejects) - faults} were left out by the recipe. The table of rejects has "
        "the reason of each.",
        "rai:dataAnnotationProtocol": [
            "Labels are those of the source: "
            + _distribution(images["label_origin"].replace("", "origin not stated"))
            if "label_origin" in images
            else "Labels are those of the source."
        ],
        "rai:annotationsPerItem": f"{len(tables.lesions)} lesions with a mask on "
        f"{tables.lesions['image_id'].nunique()} of {len(images)} images",
        "rai:dataPreprocessingProtocol": [
            "None: the tables describe the files of the source as they are.",
        ],
        "rai:dataBiases": [
            f"{malignant} of {len(images)} images are malignant: far more than in screening, "
            "unless the source is a screening population.",
            *_distributions(images),
        ],
        "rai:dataUseCases": [
            "Training and validation of classifiers for research on computer-aided detection.",
            *(f"Terms: {condition}" for condition in conditions),
        ],
        "rai:dataLimitations": [
            "Not for diagnosis, triage or any decision about a patient. Results do not hold for "
            "vendors, populations and image processing that the data lacks.",
        ],
        "rai:personalSensitiveInformation": [
            "Health data. Patients and exams appear under keys: pseudonyms that the data set "
            "published, or HMAC-SHA256 under a key of the site. No name, id or date of a header "
            "is kept; exams have days from an anchor of the patient.",
        ],
        "rai:dataReleaseMaintenancePlan": "Tables are named by their content: a corrected label or "
        "a new file makes new tables beside these.",
    }


def _distributions(images: "pd.DataFrame") -> Iterable[str]:
    for column, title in _DISTRIBUTIONS.items():
        if column in images and images[column].astype(bool).any():
            yield f"Images by {title}: {_distribution(images[column])}"


def _distribution(column: "pd.Series[Any]") -> str:
    counts = column.value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    shown = [f"{value if value != '' else 'unknown'} {count}" for value, count in ordered[:_LISTED]]
    more = len(ordered) - _LISTED
    return ", ".join(shown) + (f", and {more} others" if more > 0 else "")
