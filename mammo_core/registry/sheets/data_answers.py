"""Answers about data: where they are from, who is in them, and how they were divided."""

from mammo_core.features.frame import SPLITS
from mammo_core.features.withheld import withheld_lines
from mammo_core.packaging.settings import flat_settings
from mammo_core.registry.sheets.evidence import Evidence
from mammo_core.registry.sheets.sheet import Answer, listed, pairs

NO_SETTINGS = "the package was built before settings were recorded"
_NO_COUNTS = "the package does not say what it was fitted to"


def sources(e: Evidence) -> Answer:
    """Where the data are from, and their terms."""
    if not e.data.description:
        return Answer(why=_NO_COUNTS)
    lines = [f"{e.data.description}.", f"License of the data: {e.data.license or 'not given'}."]
    lines += [f"Terms: {terms.text()}." for terms in e.data.terms]
    if e.data.acknowledged:
        lines.append(f"Acknowledged in spite of what they forbid: {', '.join(e.data.acknowledged)}")
    return Answer(listed(lines))


def counts(e: Evidence) -> Answer:
    """How many images and patients are in each split, and how many are malignant."""
    if not e.data.images:
        return Answer(why=_NO_COUNTS)
    lines = [
        f"{split}: {e.data.images[split]} images of {e.data.patients.get(split, 0)} patients, "
        f"{e.data.malignant.get(split, 0)} malignant"
        for split in _splits(e)
    ]
    return Answer(listed([*lines, *withheld_lines(e.data.withheld)]))


def _splits(e: Evidence) -> list[str]:
    """The splits: those that a model is fitted to first."""
    order = {split: number for number, split in enumerate(SPLITS)}
    return sorted(e.data.images, key=lambda split: order.get(split, len(order)))


def partitions(e: Evidence) -> Answer:
    """How patients were divided into training, validation and test."""
    if not e.data.split:
        return Answer(why=_NO_COUNTS)
    known = e.under("split")
    how = f" ({pairs(known)})" if known else ""
    counted = counts(e).text
    return Answer(f"Split {e.data.split}{how}.\n{counted}")


def partition_level(e: Evidence) -> Answer:
    """On which level the splits share nothing."""
    frames = e.lineage.get("frame_id")
    if not frames:
        return Answer(why="no frame is recorded in the lineage")
    return Answer(
        "Patients: each is in one split only, and keeps it in later runs and in models started "
        f"from this one (frame {frames}). Patients whose images are copies of each other are kept "
        "together."
    )


def eligibility(e: Evidence) -> Answer:
    """Which images were used, and which were left out."""
    rules = flat_settings("", e.data.policy.model_dump(mode="json"))
    lines = [f"Which images are used: {pairs(rules)}."]
    if e.data.views:
        lines.append(f"Views in training: {', '.join(e.data.views)}.")
    return Answer(listed([*lines, *withheld_lines(e.data.withheld)]))


def acquisition(e: Evidence) -> Answer:
    """With what images were acquired, as far as their headers say."""
    if not e.data.manufacturers:
        return Answer(why="the headers of the training images name no manufacturer")
    bits = ", ".join(map(str, e.data.bits_stored)) or "not stated"
    lines = [f"Manufacturers in training: {', '.join(e.data.manufacturers)}. Bits stored: {bits}."]
    if e.data.smallest is not None:
        rows, columns = e.data.smallest
        lines.append(f"Smallest training image: {rows} rows, {columns} columns.")
    return Answer(listed(lines))


def preparation(e: Evidence) -> Answer:
    """How images are converted before a network sees them."""
    p, geometry = e.preprocessing, e.preprocessing.geometry
    converted = pairs(flat_settings("", p.conversion.model_dump(mode="json")))
    image = next(iter(e.card["network_data_format"]["inputs"].values()))
    return Answer(
        f"Resized to {geometry.height} × {geometry.width} pixels ({geometry.resize}, "
        f"{geometry.interpolation}), {p.bit_depth} bits; conversion before: {converted}. "
        f"Normalized as {image['normalization']}; the mean is that of the training images."
    )


def subsets(e: Evidence) -> Answer:
    """Which part of the images the patch classifier sees."""
    known = e.under("sampling")
    if not known:
        return Answer(why=NO_SETTINGS)
    return Answer(f"Patches are cut from training and validation images: {pairs(known)}.")


def identities(e: Evidence) -> Answer:
    """How patients are named in the data."""
    kinds = {value for key, value in e.settings.items() if key.endswith(".image_id")}
    if not kinds:
        return Answer(why=NO_SETTINGS)
    texts = {"digest": "the SHA-256 of its file", "keyed": "a digest under the site key"}
    named = " or ".join(sorted(texts.get(str(kind), str(kind)) for kind in kinds))
    return Answer(
        "Records, tables and the package have no field, name or date of a header that identifies "
        "a patient. Patients have the public pseudonym of their collection, or a digest under the "
        f"site key; an image is named by {named}. The package has keyed digests only."
    )


def outcome(e: Evidence) -> Answer:
    """What is predicted, and where the labels are from."""
    classes = e.card.get("classes", {})
    known = e.under("labels")
    lines = [
        f"The class `pos` ({classes.get('pos')}) of {pairs(classes)}: a malignant lesion in the "
        f"{e.package.unit}, as the labels of the source say."
    ]
    if known:
        lines.append(f"Labels: {pairs(known)}.")
    by_origin = [g for g in e.image.get("subgroups", ()) if g["by"] == "label origin"]
    if by_origin:
        origins = {group["group"]: group["n_images"] for group in by_origin}
        lines.append(f"Origin of the labels of test images: {pairs(origins)}.")
    return Answer(listed(lines))


def missing(e: Evidence) -> Answer:
    """What happens to images and views that are missing or cannot be read."""
    share = e.settings.get("max_reject_share")
    if share is None:
        return Answer(why=NO_SETTINGS)
    lines = [
        "Files that cannot be read, or that show something else than a mammogram, are rejected "
        "with a reason, and nothing is imputed; a run fails if more than "
        f"{float(share):.0%} of its images are."
    ]
    if e.package.unit == "breast":
        lines.append("If one view of a breast is missing, the other one is used for both.")
    return Answer(listed(lines))


def characteristics(e: Evidence) -> Answer:
    """Who is in the splits and in the groups of the test set."""
    groups: dict[str, list[str]] = {}
    for group in e.image.get("subgroups", ()):
        text = f"{group['group']}: {group['n_images']} images, {group['n_malignant']} malignant"
        groups.setdefault(group["by"], []).append(text)
    counted = counts(e)
    if counted.why and not groups:
        return counted
    lines = [counted.text, *(f"Test, by {by}: {'; '.join(g)}." for by, g in groups.items())]
    return Answer(listed(lines))


def comparison(e: Evidence) -> Answer:
    """How test data differ from the data that the model was fitted to."""
    shares = {
        split: e.data.malignant.get(split, 0) / e.data.images[split]
        for split in _splits(e)
        if e.data.images[split]
    }
    if "test" not in shares:
        return Answer(why="there is no test split")
    text = ", ".join(f"{split} {share:.3f}" for split, share in shares.items())
    return Answer(
        f"Share of malignant images: {text}. All splits are of the same sources "
        f"({e.data.description}) and were processed alike; patients differ."
    )


def balance(e: Evidence) -> Answer:
    """What was done because malignant images are rarer."""
    known = {
        f"{section}.balance": e.settings.get(f"{section}.balance")
        for section in ("patch_training", "image_training")
    }
    if not any(known.values()):
        return Answer(why=NO_SETTINGS if not e.settings else "nothing was done")
    train, malignant = e.data.images.get("train", 0), e.data.malignant.get("train", 0)
    return Answer(
        f"{malignant} of {train} training images are malignant. {pairs(known)}; calibration and "
        "operating points are fitted on validation, whose share of malignant images is as given."
    )


def size(e: Evidence) -> Answer:
    """How large the test set is, and what it can show."""
    interval = e.metrics.get("auc_ci95")
    if not interval:
        return Answer(why="the package has no evaluation")
    low, high = interval
    return Answer(
        f"All eligible patients of the source were used: {e.metrics.get('n_test_patients')} test "
        f"patients with {e.metrics.get('n_test_images')} images. The 95 % interval of the AUC is "
        f"{high - low:.3f} wide. No calculation before the study is recorded."
    )
