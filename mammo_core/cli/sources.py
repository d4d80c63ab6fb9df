"""`mammo sources`: tables and image trees, before anything is converted."""

from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Case tables and image trees.")

#: What adapters count besides, and how it is said.
_COUNTS = {
    "excluded": "images of an excluded BI-RADS category",
    "other_regions": "regions that are neither mass nor calcification",
    "files_without_a_row": "images without a row in the table",
    "patients_of_no_list": "patients of no patient list, left out",
}
_SOURCES = ("cbis-ddsm", "inbreast", "table", "folders")


@app.callback()
def _sources() -> None:
    """Case tables and image trees."""


@app.command()
def check(
    source: Annotated[str, typer.Option(help=f"How it is read: {', '.join(_SOURCES)}.")] = (
        "cbis-ddsm"
    ),
    tables: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Case tables: a folder or URI; for `table` the CSV file."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Images, a folder or URI: find, hash and check each."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Some tables may be missing or without rows.")
    ] = False,
    patient_ids_in_paths: Annotated[
        bool,
        typer.Option("--patient-ids-in-paths", help="File names may hold patient ids."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what a source holds and what is wrong with it, before any work starts.

    CBIS-DDSM needs the case tables only: rows, views, patients, and who is on both sides of
    the official split; with --images every image and mask is looked for too.
    """
    import json

    from mammo_core.errors import RecipeError

    adapter = source.replace("_", "-")
    if adapter not in _SOURCES:
        raise RecipeError(
            "--source cannot be used", expected=", ".join(_SOURCES), received=repr(source)
        )
    if (tables if adapter in ("cbis-ddsm", "table") else images) is None:
        raise RecipeError(
            f"The source {adapter} cannot be checked",
            expected="--tables" if adapter in ("cbis-ddsm", "table") else "--images",
            received="none",
        )

    def told(what: str, done: int, total: int) -> None:
        if not as_json and (done == total or done % 100 == 0):
            typer.echo(f"{what}: {done} of {total}", err=True)

    if adapter == "cbis-ddsm":
        from mammo_core.sources.check import check_cbis_ddsm

        facts = check_cbis_ddsm(str(tables), images, partial, told)
    elif adapter == "table":
        facts = _table(str(tables), images, patient_ids_in_paths, told)
    else:
        facts = _indexed(adapter, tables, str(images), patient_ids_in_paths, told)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        for line in _lines(facts):
            typer.echo(line)
    if facts.get("problems"):
        raise typer.Exit(1)


@app.command("site-key")
def site_key() -> None:
    """Make the key that patient keys of your own data are made with, once for the site.

    It goes into a file that only you can read; where there is one it stays. On a cluster give
    the text of that file as the Secret MAMMO_SITE_KEY: another key makes other patients.
    """
    from mammo_core.sources.patients import fingerprint, make_site_key, site_key

    path, made = make_site_key()
    typer.echo(f"{'made' if made else 'kept'} {path}, fingerprint {fingerprint(site_key())}")


def _table(
    tables: str, images: str | None, patient_ids_in_paths: bool, told: Any
) -> dict[str, Any]:
    from dataclasses import asdict

    from mammo_core.sources import SourceConfig
    from mammo_core.sources.table import check_table

    config = SourceConfig.model_validate(
        {
            "adapter": "table",
            "root": images or ".",
            "tables": tables,
            "table": {"patient_ids_in_paths": patient_ids_in_paths},
        }
    )
    found = check_table(config, images is not None, told)
    return {**found.facts, "problems": [asdict(problem) for problem in found.problems]}


def _indexed(
    adapter: str, tables: str | None, images: str, patient_ids_in_paths: bool, told: Any
) -> dict[str, Any]:
    from mammo_core.sources import SourceConfig, index

    config = SourceConfig.model_validate(
        {
            "adapter": adapter,
            "root": images,
            "tables": tables,
            "folders": {"patient_ids_in_paths": patient_ids_in_paths},
        }
    )
    found = index(config, told)
    return {**found.facts, "rejects": found.rejects.to_dict("records")}


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = []
    counts = [f"{facts[name]} {name}" for name in ("rows", "views", "patients") if name in facts]
    if counts:
        lines.append(", ".join(counts))
    lines += [
        f"{name}: {side['views']} views ({side['malignant']} malignant), "
        f"{side['patients']} patients"
        for name, side in facts.get("splits", {}).items()
    ]
    without = facts.get("test_without_leak")
    if without and facts["leaking_patients"]:
        lines.append(
            f"{facts['leaking_patients']} patients are in train and in test; test without them: "
            f"{without['views']} views ({without['malignant']} malignant), "
            f"{without['patients']} patients"
        )
    elif without:
        lines.append("no patient is in train and in test")
    if "views_with_several_lesions" in facts:
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
    if "files" in facts:
        files = facts["files"]
        lines.append(
            f"{files.get('image_files', files.get('images'))} image files, {files['images']} "
            f"different images of {files['views']} views, {files['lesions']} lesions with a mask"
        )
        if files.get("rescaled_masks"):
            lines.append(
                "masks of another size than their mammogram, rescaled: "
                f"{', '.join(files['rescaled_masks'])}"
            )
    for name, words in _COUNTS.items():
        told = facts.get(name)
        if isinstance(told, dict):
            told = ", ".join(f"{key} ({count})" for key, count in told.items())
        if told:
            lines.append(f"{words}: {told}")
    lines += [
        f"rejected {row['kind']} {row['item']}: {row['reason']}" for row in facts.get("rejects", [])
    ]
    lines += [
        f"line {row['line']}{', ' + row['column'] if row['column'] else ''}: {row['problem']}"
        for row in facts.get("problems", [])
    ]
    if "problems" in facts:
        lines.append(f"{len(facts['problems'])} problems" if facts["problems"] else "no problem")
    return lines
