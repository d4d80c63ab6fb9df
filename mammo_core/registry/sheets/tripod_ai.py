"""TRIPOD+AI: 27 items with 52 parts. Numbers and topics are those of the guideline; words are ours.

Source: Collins et al., BMJ 2024;385:e078378, https://doi.org/10.1136/bmj-2023-078378.
"""

from typing import Final

from mammo_core.registry.sheets import data_answers as data
from mammo_core.registry.sheets import model_answers as model
from mammo_core.registry.sheets import result_answers as result
from mammo_core.registry.sheets.sheet import Item, Sheet

_METHODS: Final = "Methods"
_RESULTS: Final = "Results"
_OPEN: Final = "Open science"

TRIPOD_AI: Final = Sheet(
    name="tripod-ai",
    title="TRIPOD+AI",
    source="https://doi.org/10.1136/bmj-2023-078378",
    items=(
        Item("1", "Title", "Kind of study, population and outcome", model.title, "title"),
        Item("2", "Abstract", "Summary of the study", result.abstract, "abstract"),
        Item("3a", "Introduction", "Clinical need and existing models", None, "background"),
        Item(
            "3b",
            "Introduction",
            "Whom the model is for, where in care, and who uses it",
            model.intended_use,
            "target_population",
        ),
        Item("3c", "Introduction", "Known health inequalities", None, "inequalities"),
        Item(
            "4", "Introduction", "Objectives: development, evaluation or both", None, "objectives"
        ),
        Item("5a", _METHODS, "Sources of the data, and why they fit", data.sources, "setting"),
        Item("5b", _METHODS, "Dates of the data", None, "dates"),
        Item("6a", _METHODS, "Setting, number and place of sites", None, "setting"),
        Item("6b", _METHODS, "Who could be included", data.eligibility),
        Item("6c", _METHODS, "Treatments", None, "treatments"),
        Item("7", _METHODS, "Preparation of the data, alike for all groups", data.preparation),
        Item("8a", _METHODS, "Outcome and how it was assessed", data.outcome, "reference_standard"),
        Item("8b", _METHODS, "Who assessed the outcome", None, "annotators"),
        Item("8c", _METHODS, "Blinding of the assessment", None, "blinding"),
        Item("9a", _METHODS, "Choice of predictors", model.predictors),
        Item("9b", _METHODS, "Definition of predictors", data.preparation, "acquisition"),
        Item("9c", _METHODS, "Who assessed predictors", model.predictors),
        Item("10", _METHODS, "Size of the study", data.size, "sample_size"),
        Item("11", _METHODS, "Missing data", data.missing),
        Item("12a", _METHODS, "Use of the data in development and evaluation", data.partitions),
        Item("12b", _METHODS, "Handling of predictors", data.preparation),
        Item("12c", _METHODS, "Kind of model, and how it was built", model.architecture),
        Item("12d", _METHODS, "Differences between clusters", result.robustness),
        Item("12e", _METHODS, "Measures of performance", result.measures),
        Item("12f", _METHODS, "Updating of the model after its evaluation", model.updating),
        Item("12g", _METHODS, "How predictions were computed", model.aggregation),
        Item("13", _METHODS, "Imbalance of classes", data.balance),
        Item("14", _METHODS, "Fairness", result.fairness, "inequalities"),
        Item("15", _METHODS, "Output of the model", model.output),
        Item(
            "16",
            _METHODS,
            "Differences between development and evaluation data",
            data.comparison,
        ),
        Item("17", _METHODS, "Ethical approval and consent", None, "ethics"),
        Item("18a", _OPEN, "Funding", None, "funding"),
        Item("18b", _OPEN, "Conflicts of interest", None, "conflicts"),
        Item("18c", _OPEN, "Protocol", None, "protocol"),
        Item("18d", _OPEN, "Registration", None, "registration"),
        Item("18e", _OPEN, "Sharing of data", data.sources, "data_sharing"),
        Item("18f", _OPEN, "Sharing of code", model.availability, "code_sharing"),
        Item("19", "Involvement", "Patients and the public", None, "involvement"),
        Item("20a", _RESULTS, "Flow of patients, with and without the outcome", data.counts),
        Item("20b", _RESULTS, "Characteristics of patients", data.characteristics, "demographics"),
        Item("20c", _RESULTS, "Evaluation data compared with development data", data.comparison),
        Item("21", _RESULTS, "Patients and outcomes in each analysis", data.counts),
        Item("22", _RESULTS, "The full model", model.specification),
        Item("23a", _RESULTS, "Performance with intervals", result.performance_and_groups),
        Item("23b", _RESULTS, "Differences between clusters in performance", result.differences),
        Item("24", _RESULTS, "Results of updating", model.updating),
        Item("25", "Discussion", "Interpretation, also of fairness", None, "interpretation"),
        Item("26", "Discussion", "Limitations", model.limitations, "limitations"),
        Item("27a", "Discussion", "Poor or missing input", model.input_handling, "usability"),
        Item("27b", "Discussion", "What users must do and know", None, "users"),
        Item("27c", "Discussion", "Next steps of research", None, "future"),
    ),
)
