"""Component `index`."""

from kfp import dsl

from pipelines.platform import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def index(
    store: str,
    run_id: str,
    recipe: str,
    tables: dsl.Output[dsl.Dataset],
    audit: dsl.Output[dsl.HTML],
) -> None:
    """Find and describe the mammograms of the recipe's source: tables of images and lesions.

    Args:
        store: URI of the object store.
        run_id: Id of the run.
        recipe: Name or URI of the recipe.
        tables: Tables of images, lesions and rejects.
        audit: What the source holds and what is odd, as one HTML page.
    """
    from mammo_core import steps

    tables.metadata.update(
        steps.index(
            store=store,
            run_id=run_id,
            recipe=recipe,
            out=tables.path,
        )
    )
    steps.show_audit(store, tables.path, audit.path)
