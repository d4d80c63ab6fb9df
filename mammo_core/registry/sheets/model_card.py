"""A model card: the nine sections that Mitchell et al. propose, and how the model is changed.

Source: Mitchell et al., Model Cards for Model Reporting, 2019, https://doi.org/10.1145/3287560.3287596.
"""

from typing import Final

from mammo_core.registry.sheets import data_answers as data
from mammo_core.registry.sheets import model_answers as model
from mammo_core.registry.sheets import result_answers as result
from mammo_core.registry.sheets.sheet import Item, Sheet

MODEL_CARD: Final = Sheet(
    name="model-card",
    title="Model card",
    source="https://doi.org/10.1145/3287560.3287596",
    items=(
        Item("1.1", "Model details", "Kind of model", model.title),
        Item("1.2", "Model details", "Networks", model.architecture),
        Item("1.3", "Model details", "Initial weights", model.initialization),
        Item("1.4", "Model details", "Files and signature", model.specification),
        Item("1.5", "Model details", "Software", model.software),
        Item("1.6", "Model details", "License and terms", model.availability),
        Item("2.1", "Intended use", "What it is for, and what not", model.intended_use),
        Item("2.2", "Intended use", "Who uses it", None, "users"),
        Item("3.1", "Factors", "Groups that were evaluated", result.robustness, "inequalities"),
        Item("3.2", "Factors", "Acquisition", data.acquisition, "acquisition"),
        Item("4.1", "Metrics", "Measures", result.measures),
        Item("4.2", "Metrics", "Thresholds and calibration", model.output),
        Item("4.3", "Metrics", "Uncertainty", result.uncertainty),
        Item("5.1", "Evaluation data", "Data", result.internal),
        Item("5.2", "Evaluation data", "Other sources", result.external, "external_data"),
        Item("6.1", "Training data", "Sources", data.sources),
        Item("6.2", "Training data", "Splits", data.partitions),
        Item("6.3", "Training data", "Labels", data.outcome, "reference_standard"),
        Item("6.4", "Training data", "Processing", data.preparation),
        Item("7.1", "Quantitative results", "Performance", result.performance),
        Item("7.2", "Quantitative results", "At the thresholds", result.points),
        Item("7.3", "Quantitative results", "Groups", result.groups),
        Item("7.4", "Quantitative results", "Differences between groups", result.differences),
        Item("7.5", "Quantitative results", "Localization", result.localization),
        Item("7.6", "Quantitative results", "Screening", result.screening),
        Item("8.1", "Ethical considerations", "Identities of patients", data.identities),
        Item("8.2", "Ethical considerations", "Approval and consent", None, "ethics"),
        Item("9.1", "Caveats and recommendations", "Limitations", model.limitations, "limitations"),
        Item("9.2", "Caveats and recommendations", "Unsuitable images", model.input_handling),
        Item("10.1", "Changes", "Release", model.updating),
        Item("10.2", "Changes", "Monitoring", model.monitoring),
    ),
)
