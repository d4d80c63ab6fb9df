"""The model card: intended use, input and output, training data and test results of a package.

The fields follow MONAI's bundle metadata (version, intended use, network data format).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.features.withheld import withheld_lines
from mammo_core.models.config import VIEWS
from mammo_core.packaging.contents import PackageManifest, TrainingData
from mammo_core.preprocessing import Preprocessing
from mammo_core.sources.card.terms import Terms

INTENDED_USE = (
    "Research on computer-aided detection in screening mammography. "
    "Research use only. Not a medical device: not for diagnosis, triage or any decision "
    "about a patient."
)

LIMITATIONS = (
    "Performance with other vendors, detectors, populations and image processing is unknown "
    "until it is measured there; it usually decreases.",
    "The calibrated probability refers to the validation set, where malignant views are far "
    "more common than in screening; it is not the risk of a patient.",
    "Takes cranio-caudal and medio-lateral oblique views; special views, implants and "
    "For Processing images were not studied.",
)


_PER_BREAST = (
    "- `breast_auc` and the rules per breast count each breast once. In numbers per image, each "
    "image has the probability of its breast.",
)


def card(
    *,
    manifest: PackageManifest,
    preprocessing: Preprocessing,
    label_map: Mapping[str, int],
    rules: DecisionRules,
    data: TrainingData,
    metrics: Mapping[str, Any],
    lineage: Mapping[str, Any],
    intended_use: str,
    limitations: Sequence[str],
) -> dict[str, Any]:
    """Return the card as plain data (card.json)."""
    geometry = preprocessing.geometry
    rows_columns: list[Any] = [geometry.height, geometry.width]
    if geometry.resize == "height":
        rows_columns[1] = "any"
    inputs = {"image": "mammogram, one view"}
    if manifest.unit == "breast":
        inputs = {
            view: f"mammogram, {view.upper()} view of the breast; all zeros if it was not taken"
            for view in VIEWS
        }
    return {
        "schema": "mammo-pipelines/model-card/4",
        "name": manifest.name,
        "model_id": manifest.model_id,
        "unit": manifest.unit,
        "intended_use": intended_use,
        "limitations": list(limitations),
        "network_data_format": {
            "inputs": {
                name: {
                    "type": kind,
                    "format": "gray, background dark (MONOCHROME2); MONOCHROME1 is inverted first",
                    "spatial_shape": rows_columns,
                    "num_channels": preprocessing.channels,
                    "dtype": "uint16",
                    "value_range": [0, 65535],
                    "normalization": _normalization(preprocessing),
                }
                for name, kind in inputs.items()
            },
            "outputs": {
                "malignant_probability": {"dtype": "float32", "value_range": [0, 1]},
            },
        },
        "classes": dict(label_map),
        "decision_rules": rules.model_dump(mode="json"),
        "training_data": data.model_dump(mode="json"),
        "expected_outputs": {
            "images": "phantoms, in expected.npz with their probabilities",
            "tolerance": manifest.tolerance,
        },
        "exports": dict(manifest.exports),
        "versions": dict(manifest.versions),
        "metrics": dict(metrics),
        "lineage": dict(lineage),
    }


def _normalization(preprocessing: Preprocessing) -> str:
    factor = f"{preprocessing.rescale_factor:g}"
    if preprocessing.intensity == "image_max":
        factor = f"({preprocessing.target_scale:g} / the image's maximum)"
    equalized = ", after histogram equalization" if preprocessing.equalize else ""
    return f"pixel × {factor} − {preprocessing.mean:g}{equalized}"


def markdown(content: Mapping[str, Any]) -> str:
    """Return the card as Markdown (MODEL_CARD.md)."""
    unit = content["unit"]
    image = next(iter(content["network_data_format"]["inputs"].values()))
    height, width = image["spatial_shape"]
    description = {
        "image": "One mammogram (one view)",
        "breast": "Both views of a breast, CC and MLO (a view of zeros was not taken; the other "
        "one is then used for both): each a mammogram",
    }[unit]
    lines = [
        f"# {content['name']}",
        "",
        "**Research use only. Not a medical device.**",
        "",
        f"Model id: `{content['model_id']}`",
        "",
        "## Intended use",
        "",
        content["intended_use"],
        "",
        "## Input and output",
        "",
        f"{description}, {image['format']}, {height} × {width} pixels, "
        f"{image['num_channels']} channel(s), stored as 16 bits [0, 65535]; the package "
        f"normalizes it ({image['normalization']}). The output is the probability that the "
        f"{'view' if unit == 'image' else unit} shows a malignant lesion.",
        "",
        "## Training data",
        "",
        *_training_data(content["training_data"]),
        "",
        "## Metrics",
        "",
        *_list(content["metrics"]),
        *_sources(content["metrics"].get("details", {}).get("sources", ())),
        *(_PER_BREAST if unit == "breast" else []),
        "",
        "## Calibration and operating points",
        "",
        "Fitted on validation. An image is called malignant if its uncalibrated probability is "
        "at least the threshold.",
        "",
        *_rules(content["decision_rules"]),
        "",
        "## Limitations",
        "",
        *[f"- {limitation}" for limitation in content["limitations"]],
        "",
        "## Files",
        "",
        "- model.keras: exported",
        *[f"- {name}: {state}" for name, state in content["exports"].items()],
        f"- expected.npz: phantom images; their probabilities are reproduced within "
        f"{content['expected_outputs']['tolerance']:g} on any device",
        "",
        "## Lineage",
        "",
        *_list(content["lineage"]),
        "",
    ]
    return "\n".join(lines)


def _sources(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The source matrix: AUC and rates at the operating point, with intervals."""
    if not results:
        return []
    lines = [
        "",
        "| tested on | patients of it | images | patients | AUC | sensitivity | specificity |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        cells = [result["metrics"].get("auc"), result["sensitivity"], result["specificity"]]
        role = "all, held out" if result["role"] == "external" else "test patients"
        counts = f"{result['n_images']} | {result['n_patients']}"
        values = " | ".join(map(_interval, cells))
        lines.append(f"| {result['source']} | {role} | {counts} | {values} |")
    return lines


def _interval(value: Mapping[str, float] | None) -> str:
    if not value:
        return "–"
    return f"{value['value']:.3f} ({value['low']:.3f}–{value['high']:.3f})"


def _training_data(data: Mapping[str, Any]) -> list[str]:
    lines = [
        f"- {title}: {data[key] or 'not given'}"
        for title, key in (
            ("Data", "description"),
            ("License of the data", "license"),
            ("Initial weights, and their license", "weights"),
            ("Split", "split"),
        )
    ]
    lines += [f"- Terms: {Terms.model_validate(terms).text()}" for terms in data.get("terms", ())]
    for split, images in data["images"].items():
        patients, malignant = data["patients"].get(split), data["malignant"].get(split)
        lines.append(f"- {split}: {images} images of {patients} patients, {malignant} malignant")
    lines += [f"- {line}" for line in withheld_lines(data.get("withheld", {}))]
    for title, key in (("Views", "views"), ("Manufacturers", "manufacturers")):
        if data[key]:
            lines.append(f"- {title} in training: {', '.join(data[key])}")
    return lines


def _rules(rules: Mapping[str, Any]) -> list[str]:
    lines = _levels(rules)
    if others := rules.get("other_flips"):
        lines += ["", f"Scored {'without' if rules['flips'] else 'with'} flips:", ""]
        lines += _levels(others)
    return lines


def _levels(rules: Mapping[str, Any]) -> list[str]:
    lines = []
    for level in ("image", "breast", "patient"):
        level_rules = rules[level]
        method = level_rules["calibration"]["method"]
        lines.append(
            f"- per {level}: "
            + ("not calibrated" if method == "none" else f"calibrated ({method})")
            + f", on {level_rules['n_malignant']} malignant and {level_rules['n_benign']} benign"
        )
        lines += [
            f"    - {point['name']}: threshold {point['threshold']:.4f}, sensitivity "
            f"{point['sensitivity']:.3f}, specificity {point['specificity']:.3f}"
            for point in level_rules["operating_points"]
        ]
    return lines


def _list(values: Mapping[str, Any]) -> list[str]:
    return [
        f"- {name}: {value:.4f}" if isinstance(value, float) else f"- {name}: {value}"
        for name, value in values.items()
        # Curves and tables are in metrics.json, to keep the card readable.
        if not (isinstance(value, Mapping | list) and len(str(value)) > 200)
    ] or ["- none given"]
