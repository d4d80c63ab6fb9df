"""A step of another package, with the kind of its output: this module and `component.py` are all.

A package names its module in the entry point group `mammo.steps`; importing the module does the
same.
"""

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Facts, Kind, register_kind
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.steps.step import StepContext, step


class CaseMixFacts(Facts):
    """Facts of a case mix.

    Attributes:
        patients: Number of patients.
        malignant: Number of malignant images.
    """

    patients: int
    malignant: int


CASE_MIX = register_kind(Kind("case-mixes", 1, CaseMixFacts, intermediate=True))


@step("case-mix")
def case_mix(context: StepContext, tables: Manifest) -> Manifest:
    """Count images by view and class."""
    id = CASE_MIX.content_id({}, [(tables.kind, tables.id)])

    def make(attempt: Attempt) -> Draft:
        # A step that reuses its output loads no pandas.
        from mammo_core.datasets.tables import put_table, read_table

        images = read_table(context.store, tables, "images.parquet")
        counts = images.groupby(["laterality", "view", "malignant"]).size().reset_index(name="n")
        folder = attempt.folder(CASE_MIX.output(id))
        return Draft(
            CASE_MIX.manifest(
                id,
                config={},
                facts=CaseMixFacts(
                    patients=images["patient_key"].nunique(),
                    malignant=int(images["malignant"].sum()),
                ),
                files=[put_table(context.store, folder, "counts.parquet", counts)],
                counts={"images": len(images)},
                lineage={"tables": tables.id},
            ),
        )

    manifest = context.reuse_or_make(CASE_MIX, id, make)
    context.facts = CASE_MIX.facts_of(manifest).model_dump()
    return manifest
