"""What only people can say about a study: a YAML file whose texts complete the reporting sheets."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.documents import MAXIMUM_YAML_BYTES, DocumentError, parse_yaml, read_bounded
from mammo_core.errors import RecipeError


class Statements(BaseModel):
    """Statements of the people behind a study, each a text; empty: not stated.

    Attributes:
        title: Title of the report.
        abstract: Its summary.
        background: The clinical need, and what is known.
        target_population: Whom the model is for, at which point of care.
        users: Who is to use it.
        inequalities: Known differences between groups of patients in this care.
        objectives: What the study is to find out, and its hypotheses.
        design: Whether data were collected for the study, and what kind of study it is.
        dates: From when to when patients were examined and followed up.
        setting: Kind, number and location of the sites.
        treatments: Treatments that patients received.
        acquisition: How images were acquired, beyond what the headers say.
        deidentification: How identities were removed.
        reference_standard: How it was established who has cancer, and why in this way.
        annotators: Who annotated, with which qualification and which tools.
        blinding: What those who assessed the outcome knew.
        variability: How much annotators agree, with themselves and each other.
        sample_size: Why there are so many patients.
        demographics: Characteristics of the patients besides those that the data have.
        external_data: Tests on data of other sites.
        robustness: Tests under changed conditions.
        implications: What follows for practice.
        interpretation: What the results mean, also for fairness.
        limitations: Limitations beyond those on the model card.
        usability: How users handle the model, and poor or missing images.
        future: What should be studied next.
        ethics: Approval by an ethics committee, and consent.
        funding: Who paid, and what they did.
        conflicts: Conflicts of interest of the authors.
        protocol: Where the protocol is.
        registration: Where the study is registered.
        data_sharing: Where the data are, and who may have them.
        code_sharing: Where the code and the model are.
        involvement: How patients and the public took part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    abstract: str = ""
    background: str = ""
    target_population: str = ""
    users: str = ""
    inequalities: str = ""
    objectives: str = ""
    design: str = ""
    dates: str = ""
    setting: str = ""
    treatments: str = ""
    acquisition: str = ""
    deidentification: str = ""
    reference_standard: str = ""
    annotators: str = ""
    blinding: str = ""
    variability: str = ""
    sample_size: str = ""
    demographics: str = ""
    external_data: str = ""
    robustness: str = ""
    implications: str = ""
    interpretation: str = ""
    limitations: str = ""
    usability: str = ""
    future: str = ""
    ethics: str = ""
    funding: str = ""
    conflicts: str = ""
    protocol: str = ""
    registration: str = ""
    data_sharing: str = ""
    code_sharing: str = ""
    involvement: str = ""


def read_statements(path: Path) -> Statements:
    """Read a file of statements.

    Args:
        path: The YAML file.

    Raises:
        RecipeError: It cannot be read, or has another key.
    """
    expected = f"YAML with texts under any of: {', '.join(Statements.model_fields)}"
    try:
        return Statements.model_validate(
            parse_yaml(read_bounded(path, MAXIMUM_YAML_BYTES).decode()) or {}
        )
    except (OSError, UnicodeDecodeError, DocumentError) as error:
        received = getattr(error, "strerror", None) or str(error)
    except ValidationError as error:
        first = error.errors()[0]
        received = f"{first['msg']} at {'.'.join(map(str, first['loc']))}"
    raise RecipeError(f"The statements {path} cannot be used", expected=expected, received=received)
