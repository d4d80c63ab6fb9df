"""Component `sample`."""

from kfp import dsl

from pipelines.platform import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def sample(
    store: str,
    run_id: str,
    recipe: str,
    images: dsl.Input[dsl.Dataset],
    patches: dsl.Output[dsl.Dataset],
    parts: list = [],  # noqa: B006 (KFP wants a plain default)
) -> None:
    """Cut the patches of the image records (Beam).

    Args:
        store: URI of the object store.
        run_id: Id of the run.
        recipe: Name or URI of the recipe.
        images: The image dataset.
        patches: The patch dataset.
        parts: The parts that were made beside each other; what is missing is made here.
    """
    from mammo_core import steps

    patches.metadata.update(
        steps.sample(
            store=store,
            run_id=run_id,
            recipe=recipe,
            images=images.path,
            out=patches.path,
        )
    )
