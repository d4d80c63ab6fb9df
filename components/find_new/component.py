"""Component `find-new`."""

from kfp import dsl

from pipelines.platform import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def find_new(
    store: str,
    run_id: str,
    recipe: str,
    tables: dsl.Input[dsl.Dataset],
    found: dsl.Output[dsl.Artifact],
) -> bool:
    """Find the mammograms that the champion was not trained on.

    Args:
        store: URI of the object store.
        run_id: Id of the run.
        recipe: Name or URI of the recipe.
        tables: Tables from `index`.
        found: How many images and patients are new.

    Returns:
        Whether there are enough of them to train again.
    """
    from mammo_core import steps

    found.metadata.update(
        steps.find_new(
            store=store, run_id=run_id, recipe=recipe, tables=tables.path, out=found.path
        )
    )
    return steps.enough(found.path)
