"""The terms of published data sets, as their publishers state them, and of a source.

They are facts about a data set, not advice: read the agreement that you signed.
"""

from typing import TYPE_CHECKING, Final

from mammo_core.dicom.meanings.manufacturers import PHANTOM_MANUFACTURER
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.card.terms import Terms
from mammo_core.sources.kinds import TABLES

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd

    from mammo_core.datasets import Manifest
    from mammo_core.sources.config import SourceConfig
    from mammo_core.store import Store

#: Terms of images that a program drew.
SYNTHETIC: Final = Terms(name="phantom", license="none needed: drawn by a program")
_TERMS: Final[dict[str, Terms]] = {}
_RESEARCH: Final = "research only"
_CITE: Final = "attribution"


def register_terms(adapter: str, terms: Terms) -> Terms:
    """Add the terms of the data set that an adapter reads.

    Args:
        adapter: Name of the adapter.
        terms: Its terms.
    """
    _TERMS[adapter] = terms
    return terms


def terms_of(source: "SourceConfig") -> Terms | None:
    """Return the terms of a source: those stated, or of its data set; None: nobody knows them.

    Args:
        source: The source.
    """
    if source.terms is not None:
        return source.terms
    known = _TERMS.get(source.adapter)
    license = get_adapter(source.adapter).license
    if known is None and license:
        return Terms(name=source.adapter, license=license)
    return known


def terms_of_images(source: "SourceConfig", images: "pd.DataFrame") -> Terms | None:
    """Return the terms of a source whose images are known: phantoms of any layout need none.

    Args:
        source: The source.
        images: Its table of images.
    """
    manufacturers = set(images["manufacturer"])
    if manufacturers and all(name.startswith(PHANTOM_MANUFACTURER) for name in manufacturers):
        return SYNTHETIC
    return terms_of(source)


def dataset_terms(store: "Store", dataset: "Manifest") -> list[Terms]:
    """Return the terms of the data that a dataset was made of.

    Args:
        store: The object store.
        dataset: Manifest of a dataset.

    Raises:
        StoreError: The store failed.
    """
    tables = TABLES.find(store, dataset.lineage.get("tables", ""))
    return stated_terms(tables) if tables is not None else []


def stated_terms(tables: "Manifest") -> list[Terms]:
    """Return the terms of the source of tables, or of each of several sources.

    Args:
        tables: Manifest of the tables.
    """
    facts = TABLES.facts_of(tables).source
    stated = [facts.get("terms"), *facts.get("terms_of_sources", {}).values()]
    return list(dict.fromkeys(Terms.model_validate(terms) for terms in stated if terms))


def terms_line(source: "SourceConfig") -> str:
    """Return what a command says about the terms of a source.

    Args:
        source: The source.
    """
    terms = terms_of(source)
    if terms is None:
        return "terms: none stated (source.terms)"
    acknowledged = ", acknowledged" if terms.name in source.acknowledged else ""
    return f"terms: {terms.text()}{acknowledged}"


register_terms(
    "cbis_ddsm",
    Terms(
        name="cbis-ddsm",
        license="CC BY 3.0",
        url="https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY",
        conditions=(_CITE,),
    ),
)
register_terms(
    "cmmd",
    Terms(
        name="cmmd",
        license="CC BY 4.0",
        url="https://doi.org/10.7937/tcia.eqde-4b16",
        conditions=(_CITE,),
    ),
)
register_terms(
    "inbreast",
    Terms(
        name="inbreast",
        license="by agreement with the Breast Research Group, Porto",
        conditions=(_RESEARCH, _CITE),
        forbids=("image_redistribution",),
    ),
)
register_terms(
    "vindr_mammo",
    Terms(
        name="vindr-mammo",
        license="PhysioNet Restricted Health Data License 1.5.0",
        url="https://doi.org/10.13026/br2v-7517",
        conditions=("lawful scientific research", _CITE),
        forbids=("image_redistribution",),
    ),
)
register_terms(
    "rsna_2023",
    Terms(
        name="rsna-2023",
        license="rules of the RSNA Screening Mammography Breast Cancer Detection challenge",
        url="https://www.kaggle.com/competitions/rsna-breast-cancer-detection/rules",
        conditions=("not commercial", _CITE),
        forbids=("image_redistribution",),
    ),
)
register_terms(
    "embed",
    Terms(
        name="embed",
        license="EMBED Open Data: research agreement with Emory University",
        url="https://github.com/Emory-HITI/EMBED_Open_Data",
        conditions=("not commercial", _CITE),
        # Weights fitted to EMBED were withdrawn after its policy of 2025-04-28.
        forbids=("redistribution",),
    ),
)
register_terms(
    "csaw_cc",
    Terms(
        name="csaw-cc",
        license="by agreement with Karolinska Institutet",
        url="https://doi.org/10.5878/45vm-t798",
        conditions=(_RESEARCH, _CITE),
        forbids=("image_redistribution",),
    ),
)
register_terms(
    "mias",
    Terms(
        name="mias",
        license="MIAS license agreement",
        conditions=(_RESEARCH, _CITE),
        forbids=("image_redistribution",),
    ),
)
register_terms(
    "bcdr",
    Terms(
        name="bcdr",
        license="by agreement with the BCDR consortium",
        conditions=(_RESEARCH, _CITE),
        forbids=("image_redistribution",),
    ),
)
