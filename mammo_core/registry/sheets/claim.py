"""CLAIM, update of 2024: 44 items. Numbers and topics are those of the guideline; words are ours.

Source: Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300,
https://doi.org/10.1148/ryai.240300.
"""

from typing import Final

from mammo_core.registry.sheets import data_answers as data
from mammo_core.registry.sheets import model_answers as model
from mammo_core.registry.sheets import result_answers as result
from mammo_core.registry.sheets.sheet import Item, Sheet

_DATA: Final = "Methods: data"
_REFERENCE: Final = "Methods: reference standard"
_MODEL: Final = "Methods: model and training"
_EVALUATION: Final = "Methods: evaluation"
_RESULTS: Final = "Results"
_OTHER: Final = "Other information"

CLAIM: Final = Sheet(
    name="claim-2024",
    title="CLAIM 2024",
    source="https://doi.org/10.1148/ryai.240300",
    items=(
        Item("1", "Title", "The kind of AI that was used", model.title, "title"),
        Item("2", "Abstract", "Summary of the study", result.abstract, "abstract"),
        Item(
            "3",
            "Introduction",
            "Background, intended use and clinical role",
            model.intended_use,
            "background",
        ),
        Item("4", "Introduction", "Aims, objectives and hypotheses", None, "objectives"),
        Item("5", "Methods: design", "Prospective or retrospective", None, "design"),
        Item("6", "Methods: design", "Goal of the study", model.title, "objectives"),
        Item("7", _DATA, "Sources of the data", data.sources, "setting"),
        Item("8", _DATA, "Who was included and who was not", data.eligibility),
        Item("9", _DATA, "Processing before the model", data.preparation),
        Item("10", _DATA, "Parts of images that were selected", data.subsets),
        Item("11", _DATA, "Removal of identities", data.identities, "deidentification"),
        Item("12", _DATA, "Missing data", data.missing),
        Item("13", _DATA, "Acquisition of images", data.acquisition, "acquisition"),
        Item(
            "14", _REFERENCE, "What the reference standard is", data.outcome, "reference_standard"
        ),
        Item("15", _REFERENCE, "Why this reference standard", None, "reference_standard"),
        Item("16", _REFERENCE, "Who annotated", None, "annotators"),
        Item("17", _REFERENCE, "Annotation of the test set", data.outcome, "annotators"),
        Item("18", _REFERENCE, "Agreement of annotators", None, "variability"),
        Item("19", "Methods: partitions", "How data were divided", data.partitions),
        Item(
            "20", "Methods: partitions", "On which level parts are disjoint", data.partition_level
        ),
        Item("21", "Methods: testing data", "Size of the test set", data.size, "sample_size"),
        Item("22", _MODEL, "The model, its inputs and outputs", model.architecture),
        Item("23", _MODEL, "Software", model.software),
        Item("24", _MODEL, "Initial weights", model.initialization),
        Item("25", _MODEL, "Training", model.training),
        Item("26", _MODEL, "Choice of the final model", model.selection),
        Item("27", _MODEL, "Ensembles", model.ensemble),
        Item("28", _EVALUATION, "Metrics", result.measures),
        Item("29", _EVALUATION, "Uncertainty and significance", result.uncertainty),
        Item("30", _EVALUATION, "Robustness", result.robustness, "robustness"),
        Item("31", _EVALUATION, "Explanation of the model", result.explanation),
        Item("32", _EVALUATION, "Test on data of the same source", result.internal),
        Item("33", _EVALUATION, "Test on other data", result.external, "external_data"),
        Item("34", _EVALUATION, "Registration of a trial", None, "registration"),
        Item("35", _RESULTS, "Numbers of patients, included and excluded", data.counts),
        Item("36", _RESULTS, "Characteristics in each part", data.characteristics, "demographics"),
        Item("37", _RESULTS, "Performance with intervals", result.performance),
        Item("38", _RESULTS, "Diagnostic performance and its precision", result.points),
        Item("39", _RESULTS, "Images that were classified wrongly", result.errors),
        Item("40", "Discussion", "Limitations", model.limitations, "limitations"),
        Item("41", "Discussion", "Implications for practice", None, "implications"),
        Item("42", _OTHER, "Protocol and further details", model.specification, "protocol"),
        Item("43", _OTHER, "Software, model and data", model.availability, "data_sharing"),
        Item("44", _OTHER, "Funding", None, "funding"),
    ),
)
