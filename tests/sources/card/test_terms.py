"""Terms of data: known, stated, carried into packages; what they forbid needs a name."""

import pytest
from typer.testing import CliRunner

from mammo_core.cli.export import export
from mammo_core.cli.models import app as models
from mammo_core.cli.sources import app as sources
from mammo_core.errors import SourceError
from mammo_core.packaging import TrainingData, verify
from mammo_core.packaging.allowed_uses import require_use
from mammo_core.packaging.contents import read_content
from mammo_core.packaging.signatures.checksums import write_sums
from mammo_core.recipes import load_recipe
from mammo_core.registry import push
from mammo_core.runs import Run
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.run import Access, serve
from mammo_core.sources import SourceConfig
from mammo_core.sources.adapter import adapter_names
from mammo_core.sources.card.known_terms import SYNTHETIC, dataset_terms, terms_of
from mammo_core.sources.card.terms import Terms, require_allowed
from mammo_core.sources.kinds import TABLES
from mammo_core.steps import index
from mammo_core.store import open_store
from tests.sources.adapters.test_table import KEY, write_image

FORBIDDING = Terms(name="ours", license="vote 12", forbids=("serving", "redistribution"))
USES = ("serving", "model_redistribution", "image_redistribution")


def test_every_published_data_set_has_terms():
    for name in set(adapter_names()) - {"table", "folders"}:
        terms = terms_of(SourceConfig(adapter=name, root="x"))
        assert terms is not None and terms.license, name
    assert terms_of(SourceConfig(adapter="table", root="x")) is None
    stated = SourceConfig(adapter="cmmd", root="x", terms=FORBIDDING)
    assert terms_of(stated) == FORBIDDING


@pytest.mark.parametrize(
    ("forbids", "refused"),
    [
        ((), ()),
        (("serving",), ("serving",)),
        (("redistribution",), ("model_redistribution", "image_redistribution")),
        (("image_redistribution",), ("image_redistribution",)),
        (("model_redistribution", "serving"), ("serving", "model_redistribution")),
    ],
)
def test_what_is_forbidden_is_refused_unless_acknowledged_by_name(forbids, refused, monkeypatch):
    terms = [Terms(name="free", license="CC0"), Terms(name="bound", license="x", forbids=forbids)]
    for use in USES:
        if use in refused:
            for names in ((), ("free",), ("Bound",)):
                with pytest.raises(SourceError, match="bound") as error:
                    require_allowed(terms, use, names, "It cannot be done")
            assert "--acknowledge bound" in str(error.value)
        else:
            require_allowed(terms, use, (), "It cannot be done")
        require_allowed(terms, use, ("bound",), "It cannot be done")


def with_terms(folder, **changes):
    data = read_content(folder, "training_data.json", TrainingData)
    data = data.model_copy(update={"terms": (FORBIDDING,), **changes})
    (folder / "training_data.json").write_text(data.model_dump_json())
    write_sums(folder)
    return folder


def test_a_push_is_refused_unless_acknowledged(tmp_path, light_package, monkeypatch):
    store = open_store(f"file://{tmp_path}/store")
    package = with_terms(light_package("a"))
    with pytest.raises(SourceError, match="cannot be pushed: the terms of ours forbid it"):
        push(store, package, "m")
    assert list(store.list("models/")) == []
    assert push(store, package, "m", acknowledged=("ours",)).new
    monkeypatch.setenv("MAMMO_ACKNOWLEDGED", "other, ours")
    assert not push(store, package, "m").new
    monkeypatch.delenv("MAMMO_ACKNOWLEDGED")
    # The recipe of the run acknowledged them: its own step `push` needs nothing else.
    assert push(store, with_terms(light_package("b"), acknowledged=("ours",)), "m").version == 2


def test_what_a_recipe_acknowledged_serves_no_model(light_package):
    package = verify(with_terms(light_package("a"), acknowledged=("ours",)))
    with pytest.raises(SourceError, match="cannot be served"):
        require_use(package, "serving", (), "served")
    require_use(package, "serving", ("ours",), "served")


def test_the_commands(light_package, tmp_path):
    folder, uri = with_terms(light_package("a")), f"file://{tmp_path}/store"
    done = CliRunner().invoke(models, ["push", str(folder), "--store", uri])
    assert isinstance(done.exception, SourceError) and "cannot be pushed" in str(done.exception)
    push(open_store(uri), folder, "m", acknowledged=("ours",))
    with pytest.raises(SourceError, match="cannot be served"):
        serve([f"{uri}/models/m"], access=Access(port=0), config=ServeConfig())


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY", KEY)
    rows = ["image_path,patient_id,side,view,label,type,box"]
    for at in range(8):
        write_image(tmp_path / f"images/{at}.png", (400, 300), seed=at)
        lesion = "mass,1 2 30 40" if at % 2 else ","
        rows.append(f"{at}.png,p{at},L,CC,{at % 2},{lesion}")
    (tmp_path / "own.csv").write_text("\n".join(rows))
    return tmp_path


def run_index(archive, *overrides, use="training"):
    run = Run(open_store(str(archive / "store")), "r")
    root, tables = f"source.root={archive / 'images'}", f"source.tables={archive / 'own.csv'}"
    plain = "images.plausibility={noise: accept, no_breast: accept, folded: accept}"
    run.write_recipe(load_recipe("own_data", [root, tables, plain, *overrides]))
    return index.execute(run, use=use)[0]


TERMS = "source.terms={name: ours, license: vote 12, forbids: [redistribution]}"


def test_a_run_that_could_not_push_stops_at_its_start(archive, capsys):
    with pytest.raises(SourceError, match="could not be pushed"):
        run_index(archive, TERMS)
    assert "terms: ours: vote 12" in capsys.readouterr().out
    manifest = run_index(archive, TERMS, "source.acknowledged=[ours]")
    (terms,) = dataset_terms(
        open_store(str(archive / "store")),
        manifest.model_copy(update={"lineage": {"tables": manifest.id}}),
    )
    assert terms.forbidden("image_redistribution")
    # Acknowledging reads nothing again; other terms make other tables.
    assert run_index(archive, TERMS, use="records").id == manifest.id
    assert run_index(archive).id != manifest.id
    assert TABLES.facts_of(run_index(archive)).source["terms"] is None
    assert "terms: none stated" in capsys.readouterr().out


def test_the_images_are_not_exported(archive):
    manifest = run_index(archive, TERMS, use="records")
    manifest = manifest.model_copy(update={"lineage": {"tables": manifest.id}})
    (archive / "manifest.json").write_text(manifest.model_dump_json())
    with pytest.raises(SourceError, match="cannot be exported"):
        export(str(archive / "manifest.json"), archive / "out", store=f"file://{archive}/store")


def test_a_check_shows_the_terms_and_phantoms_need_none(tmp_path):
    from mammo_core.phantom import PhantomConfig, create
    from mammo_core.sources import index as read_source
    from mammo_core.sources.card.known_terms import terms_of_images

    create(tmp_path / "tree", PhantomConfig(patients=4, seed=4, height=96, width=72), workers=1)
    checked = CliRunner().invoke(sources, ["check", "--tables", str(tmp_path / "tree")])
    assert "terms: cbis-ddsm: CC BY 3.0; attribution" in checked.stdout
    config = SourceConfig(root=str(tmp_path / "tree"))
    assert terms_of_images(config, read_source(config).images) == SYNTHETIC
