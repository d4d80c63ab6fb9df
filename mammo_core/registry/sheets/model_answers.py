"""Answers about the model: what it is, how it was trained, what it returns, how it is changed."""

from mammo_core.packaging.settings import flat_settings
from mammo_core.registry.sheets.data_answers import NO_SETTINGS
from mammo_core.registry.sheets.evidence import Evidence
from mammo_core.registry.sheets.sheet import Answer, listed, pairs

_LEVELS = ("image", "breast", "patient")


def title(e: Evidence) -> Answer:
    """What kind of study this is, in a sentence."""
    return Answer(
        f"Development and internal evaluation of a deep-learning classifier of mammograms, "
        f"{e.package.name}: the probability that {'an' if e.package.unit == 'image' else 'a'} "
        f"{e.package.unit} shows a malignant lesion. Data: {e.data.description or 'not stated'}."
    )


def intended_use(e: Evidence) -> Answer:
    """What the model is for."""
    return Answer(str(e.card.get("intended_use", "")), why="the card states no use")


def limitations(e: Evidence) -> Answer:
    """What the card says about limits."""
    lines = [str(line) for line in e.card.get("limitations", ())]
    return Answer(listed(lines), why="" if lines else "the card states none")


def predictors(e: Evidence) -> Answer:
    """What the model takes."""
    inputs = e.card["network_data_format"]["inputs"]
    texts = [f"{name}: {each['type']}" for name, each in inputs.items()]
    return Answer(
        f"Pixels alone: {'; '.join(texts)}. Neither age nor any other fact about the patient is "
        "used."
    )


def architecture(e: Evidence) -> Answer:
    """The networks."""
    network, head = e.under("patch_training.network"), e.under("image_training.head")
    if not network:
        return Answer(why=NO_SETTINGS)
    lines = [
        f"A patch classifier ({pairs(network)}; patches of {e.package.patch_size} pixels) is "
        f"converted into a whole-image classifier (head: {pairs(head)}).",
        f"Two views of a breast at once: {pairs(two_view)}."
        if (two_view := e.under("image_training.two_view"))
        else "One image at once.",
    ]
    return Answer(listed(lines))


def training(e: Evidence) -> Answer:
    """How the networks were trained."""
    lines = []
    for section, name in (
        ("patch_training", "Patch classifier"),
        ("image_training", "Whole-image classifier"),
    ):
        known = {
            key: value
            for key, value in e.under(section).items()
            if not key.startswith(("network.", "head.", "two_view."))
        }
        if known:
            lines.append(f"{name}: {pairs(known)}.")
    if not lines:
        return Answer(why=NO_SETTINGS)
    lines.append(
        f"Seed {e.settings.get('seed')}. Whether a search chose these settings is not recorded."
    )
    return Answer(listed(lines))


def selection(e: Evidence) -> Answer:
    """How the final weights were chosen."""
    known = {
        section: e.settings.get(f"{section}.selection")
        for section in ("patch_training", "image_training")
    }
    if not any(known.values()):
        return Answer(why=NO_SETTINGS)
    return Answer(f"The epoch with the best value on validation: {pairs(known)}.")


def initialization(e: Evidence) -> Answer:
    """What training started from."""
    if not e.data.weights:
        return Answer(why="the package does not say")
    start = e.settings.get("image_training.start")
    model = f" Started from a version of the model {start}." if start else ""
    return Answer(f"Weights: {e.data.weights}.{model}")


def ensemble(e: Evidence) -> Answer:
    """Which networks are averaged, and which variants of an image."""
    if not e.settings:
        return Answer(why=NO_SETTINGS)
    members = [value for key, value in e.under("members").items() if key.endswith(".name")]
    lines = [
        f"The weighted mean of {len(members)} networks: {', '.join(map(str, members))}."
        if members
        else "One network.",
        "Probabilities are means over the image and its three flips." if e.rules.flips else "",
        f"Also over shifts by {e.rules.translation} pixels." if e.rules.translation else "",
    ]
    return Answer(listed(lines))


def software(e: Evidence) -> Answer:
    """With which software it was built."""
    code = e.lineage.get("git_sha", "unknown")
    return Answer(f"{pairs(e.package.versions)}; commit {code} of Mammo Pipelines.")


def output(e: Evidence) -> Answer:
    """What the model returns, and how a decision follows from it."""
    lines = [f"A probability in [0, 1] per {e.package.unit}, and per breast and patient."]
    for level in _LEVELS:
        rules = getattr(e.rules, level)
        points = "; ".join(
            f"{point.name}: at least {point.threshold:.4f}" for point in rules.operating_points
        )
        method = rules.calibration.method
        lines.append(
            f"Per {level}: {'not calibrated' if method == 'none' else f'calibrated ({method})'} on "
            f"{rules.n_malignant} malignant and {rules.n_benign} benign of validation; called "
            f"malignant by {points or 'no threshold'}."
        )
    return Answer(listed(lines))


def aggregation(e: Evidence) -> Answer:
    """How predictions of the test set were computed."""
    how = e.rules.aggregation
    return Answer(
        "Each test image was converted and scored as the package does it. A breast has the "
        f"{how.views} of its views, a patient the {how.sides} of her breasts. Thresholds and "
        "calibration were fitted on validation; the test set measured only."
    )


def specification(e: Evidence) -> Answer:
    """Where the whole model is."""
    files = ", ".join(
        ["model.keras", *(n for n, s in e.package.exports.items() if s == "exported")]
    )
    signed = "signed" if e.signed else "unsigned"
    return Answer(
        f"The package of model id {e.package.model_id}, {signed}: {files}, preprocessing, "
        "thresholds, and phantom images with their expected probabilities."
    )


def updating(e: Evidence) -> Answer:
    """How this model came after the one before it."""
    decision = e.decision
    if decision is None:
        return Answer(why="no gate released this model")
    before = f"the champion {decision.champion[:12]}" if decision.champion else "no champion"
    lines = [f"Compared with {before}: {decision.decision}.", *decision.reasons]
    if decision.plan is not None:
        lines.append(f"Change-control plan: {decision.plan.name} ({decision.plan.digest[:12]}).")
        lines += [change.text for change in decision.changes]
    return Answer(listed(lines))


def monitoring(e: Evidence) -> Answer:
    """How the model is watched after its release."""
    plan = e.decision.plan if e.decision is not None else None
    if plan is None:
        return Answer(why="the model was released under no change-control plan")
    watch = plan.monitoring
    return Answer(
        f"Watched: {', '.join(watch.watched)}; at most {watch.false_alarm_rate:.0%} of quiet years "
        f"have an alarm; an alarm leads to: {watch.on_alarm}."
    )


def input_handling(e: Evidence) -> Answer:
    """What happens to unsuitable images in use."""
    rules = flat_settings("", e.data.policy.model_dump(mode="json"))
    refused = [name for name, action in rules.items() if action in ("reject", "on_request")]
    known = {
        "views": ", ".join(e.data.views) or "unknown",
        "manufacturers": ", ".join(e.data.manufacturers) or "unknown",
        "measures of gray levels": len(e.data.gray_levels),
    }
    return Answer(
        "An image that the policy excludes is not scored unless that is requested, and the answer "
        f"says why: {', '.join(refused)}. One that is unlike the training data gets a warning or "
        f"no decision ({pairs(known)})."
    )


def availability(e: Evidence) -> Answer:
    """What of the study can be had."""
    forbidding = [terms.name for terms in e.data.terms if terms.forbids]
    terms = (
        f"Terms that restrict the model or its data: {', '.join(forbidding)}."
        if forbidding
        else "No terms of the data forbid to pass the model on."
    )
    links = f"{len(e.chain.links)} outputs" if e.chain is not None else "outputs"
    return Answer(
        f"Code: Mammo Pipelines, Apache-2.0, commit {e.lineage.get('git_sha', 'unknown')}. The "
        f"model is a package with its lineage ({links} by digest). {terms}"
    )
