"""CBIS-DDSM: the four official case tables, and images in any layout.

Lee et al., Sci Data 2017 (DOI 10.1038/sdata.2017.177).
"""

from typing import TYPE_CHECKING

from mammo_core.sources.adapter import Adapter, SourceFacts, register_adapter

if TYPE_CHECKING:  # counting the case tables loads neither pydantic, pandas nor a codec
    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.tables.source_tables import ProgressCall, SourceTables


def _index(
    config: "SourceConfig",
    files: "SourceFiles",
    progress: "ProgressCall | None",
    workers: int | None,
) -> "SourceTables":
    from mammo_core.sources.adapters.cbis_ddsm.index import index_cbis_ddsm

    return index_cbis_ddsm(config, files, progress, workers)


def _check(config: "SourceConfig", images: bool, progress: "ProgressCall | None") -> SourceFacts:
    from mammo_core.sources.adapters.cbis_ddsm.check import check_cbis_ddsm

    tables = str(config.tables or config.root)
    return check_cbis_ddsm(tables, config.root if images else None, config.partial, progress)


def _fact_lines(facts: SourceFacts) -> list[str]:
    lines: list[str] = []
    rest = facts["test_without_leak"]
    if facts["leaking_patients"]:
        lines.append(
            f"{facts['leaking_patients']} patients are in train and in test; test without them: "
            f"{rest['views']} views ({rest['malignant']} malignant), {rest['patients']} patients"
        )
    else:
        lines.append("no patient is in train and in test")
    lines.append(
        f"{facts['views_with_several_lesions']} views have several lesions, "
        f"{facts['views_with_mass_and_calc']} are in mass and calcification tables"
    )
    if "missing" in facts:
        missing = facts["missing"]
        lines.append(
            f"no file for {missing['images']} images, {missing['views']} views, "
            f"{missing['lesions']} lesions"
        )
    return lines


register_adapter(
    Adapter(
        name="cbis_ddsm",
        index=_index,
        check=_check,
        check_input="tables",
        license="CBIS-DDSM: CC BY 3.0 (TCIA)",
        pseudonyms=r"P_\d{5}",
        fact_lines=_fact_lines,
    )
)
