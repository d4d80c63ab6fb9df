"""Component `convert`."""

from kfp import dsl

from pipelines.platform import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def convert(
    store: str,
    run_id: str,
    recipe: str,
    tables: dsl.Input[dsl.Dataset],
    images: dsl.Output[dsl.Dataset],
    parts: list = [],  # noqa: B006 (KFP wants a plain default)
) -> None:
    """Convert the mammograms to image records (Beam).

    Args:
        store: URI of the object store.
        run_id: Id of the run.
        recipe: Name or URI of the recipe.
        tables: Tables from `index`.
        images: The image dataset.
        parts: The parts that were made beside each other; what is missing is made here.
    """
    from mammo_core import steps

    images.metadata.update(
        steps.convert(
            store=store,
            run_id=run_id,
            recipe=recipe,
            tables=tables.path,
            out=images.path,
        )
    )
