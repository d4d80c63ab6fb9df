"""`mammo models`: list, verify, publish and compare model packages."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mammo_core.cli import model_audit, networks
from mammo_core.cli.scoring_options import Acknowledge

app = typer.Typer(no_args_is_help=True, help="Model packages and their registry.")

_Uri = Annotated[
    str,
    typer.Argument(
        metavar="URI",
        help="A package folder, …/models/<name>/<version>, or …/models/<name> (its champion).",
    ),
]
_Store = Annotated[
    str,
    typer.Option(metavar="URI", envvar="MAMMO_STORE", help="file:///folder or s3://bucket."),
]
_PublicKey = Annotated[
    Path | None,
    typer.Option(
        metavar="PEM",
        help="Public key that it must be signed by; the policy of MAMMO_TRUST holds as well.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_models(
    store: _Store,
    as_json: _Json = False,
) -> None:
    """List the published versions of all models; * marks the champion.

    A version that was fitted to or tested on somebody who was withdrawn since says so.
    """
    from mammo_core.errors import ModelError
    from mammo_core.registry import champion, models, versions
    from mammo_core.runs.withdrawn import withdrawals, withdrawn_from_version
    from mammo_core.store import open_store

    opened = open_store(store)
    counts = withdrawals(opened)
    rows, faults = [], []
    for name in models(opened):
        try:
            current = champion(opened, name)
        except ModelError as error:  # the versions are needed to choose another champion
            current = None
            faults.append(error)
        for ref in versions(opened, name):
            is_champion = current is not None and current.version == ref.version
            withdrawn = withdrawn_from_version(opened, ref, counts)
            row = {**ref.model_dump(), "champion": is_champion, "withdrawn_patients": withdrawn}
            rows.append(row)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    for row in () if as_json else rows:
        mark = "*" if row["champion"] else " "
        typer.echo(
            f"{mark} {row['name']} {row['version']:>3}  {row['model_id'][:12]}  {row['uri']}"
            + ("  patient withdrawn" if row["withdrawn_patients"] else "")
        )
    if not rows and not as_json:
        typer.echo(f"No model is published in {opened.uri}.")
    for fault in faults:
        typer.echo(f"error: {fault}", err=True)
    if faults:
        raise typer.Exit(1)


@app.command()
def show(uri: _Uri, as_json: _Json = False) -> None:
    """Show the card of a model, after verifying its files."""
    from mammo_core.registry import open_package

    name = "card.json" if as_json else "MODEL_CARD.md"
    typer.echo((open_package(uri).folder / name).read_text(encoding="utf-8").rstrip())


@app.command("verify")
def verify_model(
    uri: _Uri,
    public_key: _PublicKey = None,
    run: Annotated[
        bool, typer.Option(help="Also load the network and reproduce the expected outputs.")
    ] = True,
    as_json: _Json = False,
) -> None:
    """Verify every file of a package, its signature, and that it reproduces its predictions.

    The signature is verified with the keys of MAMMO_TRUST and the key you give, never with one
    from the package, and without network access. Without either, only the existence of a
    signature is reported.
    """
    from mammo_core.packaging import require_expected_outputs
    from mammo_core.registry import open_package

    opened = open_package(uri, public_key)
    signed = opened.signed_by != "unsigned"
    result = require_expected_outputs(opened.load()) if run else None
    if as_json:
        report = {
            "name": opened.name,
            "version": opened.version,
            "model_id": opened.model_id,
            "files": "as built",
            "signed_by": opened.signed_by,
            "signature": "verified" if opened.key else "not checked" if signed else "unsigned",
            "key": opened.key.name if opened.key else None,
            "samples": result.samples if result else None,
            "largest_difference": result.largest_difference if result else None,
            "tolerance": opened.manifest.tolerance,
        }
        typer.echo(json.dumps(report, indent=2))
        return
    typer.echo(f"{opened.name} {opened.model_id}: all files are unchanged")
    if opened.key is not None:
        typer.echo(f"signature: verified, by {opened.key.name} ({opened.signed_by[:16]})")
    elif signed:
        typer.echo(
            f"signature: by the key {opened.signed_by[:16]}; not verified, because there is "
            "neither MAMMO_TRUST nor --public-key"
        )
    else:
        typer.echo("signature: unsigned")
    if result is not None:
        typer.echo(
            f"{result.samples} samples reproduced, "
            f"largest difference {result.largest_difference:.2g}"
        )


@app.command("push")
def push_package(
    package: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE",
            help="A package folder; or a published version, which is then signed anew.",
        ),
    ],
    store: _Store,
    name: Annotated[
        str, typer.Option(help="Name of the model in the registry; default: the package's.")
    ] = "",
    public_key: _PublicKey = None,
    accept_unsigned: Annotated[
        bool,
        typer.Option(
            "--accept-unsigned",
            help="Sign a published version that nobody signed, although MAMMO_TRUST is set: you "
            "vouch for its files.",
        ),
    ] = False,
    acknowledge: Acknowledge = None,
) -> None:
    """Publish a package as the next version of a model, and as its champion.

    It is signed with MAMMO_SIGNING_KEY or MAMMO_SIGNING_KEY_FILE, if set. The gate is not
    applied: only the pipeline does that. First the package must reproduce its expected outputs
    in a new process.
    """
    from mammo_core.packaging import self_check_in_new_process, signing_key
    from mammo_core.packaging.allowed_uses import require_use
    from mammo_core.registry import open_for_push, push
    from mammo_core.registry.kubeflow import ModelRegistry
    from mammo_core.store import open_store

    registry = ModelRegistry.from_environment()
    signing_key()
    opened = open_for_push(package, public_key, accept_unsigned=accept_unsigned)
    require_use(opened, "model_redistribution", acknowledge or (), "pushed")
    self_check_in_new_process(opened.folder)
    model = name or opened.name
    result = push(
        open_store(store),
        opened.folder,
        model,
        public_key=public_key,
        accept_unsigned=accept_unsigned,
        acknowledged=acknowledge or (),
    )
    typer.echo(f"{'pushed' if result.new else 'already published:'} {result.uri}")
    if registry is not None:
        registry.register(model, result.version, result.uri, opened.manifest, result.signed_by)
        typer.echo("registered in the Kubeflow model registry")


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Argument(min=1, help="Version to make the champion.")],
    store: _Store,
) -> None:
    """Make a published version the champion, regardless of the gate."""
    from mammo_core.registry import promote as make_champion
    from mammo_core.store import open_store

    ref = make_champion(open_store(store), name, version)
    typer.echo(f"the champion of {name} is version {ref.version}, {ref.model_id[:12]}")


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    store: _Store,
) -> None:
    """Restore the previous champion; the current one is withdrawn until it is promoted."""
    from mammo_core.registry import rollback as restore_champion
    from mammo_core.store import open_store

    ref = restore_champion(open_store(store), name)
    typer.echo(f"the champion of {name} is version {ref.version}, {ref.model_id[:12]}")


@app.command()
def history(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    store: _Store,
    as_json: _Json = False,
) -> None:
    """List every change of a model's champion, after verifying their chain and signatures."""
    from mammo_core.registry import read_entries
    from mammo_core.store import open_store

    entries = read_entries(open_store(store), name)
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    for entry in entries:
        champion = "no champion" if entry.version is None else f"version {entry.version}"
        signer = entry.signed_by if entry.signed_by == "unsigned" else entry.signed_by[:16]
        typer.echo(f"{entry.sequence:>4}  {entry.action:8}  {champion:14}  {signer}")


@app.command()
def compare(
    uri: _Uri,
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="URI of the model to compare with.")
    ],
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Write the comparison as a page.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Compare two models: their cards, and their predictions on the same test images.

    The second part needs versions of a registry whose store still has their evaluations.
    """
    from mammo_core.registry.comparison import compare_packages

    comparison = compare_packages(uri, reference)
    if report is not None and comparison.paired is not None:
        from mammo_core.evaluation.report.comparison import comparison_report

        report.parent.mkdir(parents=True, exist_ok=True)
        ids = {f"Model id of {model['name']}": model["model_id"] for model in comparison.models}
        report.write_text(comparison_report(comparison.paired, facts=ids), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), indent=2))
    else:
        for line in comparison.lines():
            typer.echo(line)
    if comparison.paired is None and report is not None:
        typer.echo("No page was written.", err=True)
        raise typer.Exit(1)


app.command("sheet")(model_audit.reporting_sheet)
app.command("audit")(model_audit.audit_model)
app.command("describe")(networks.describe_model)
app.command("find-batch-size")(networks.find_batch_size)
app.command("import-keras2")(networks.import_keras2)
app.command("import-torch")(networks.import_torch)
