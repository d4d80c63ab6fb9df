"""Component `sample-shard`."""

from kfp import dsl

from pipelines.platform import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def sample_shard(
    store: str,
    run_id: str,
    recipe: str,
    shard: str,
    images: dsl.Input[dsl.Dataset],
    part: dsl.Output[dsl.Artifact],
) -> str:
    """Cut the patches of one part of the images; `sample` puts the parts together.

    Args:
        store: URI of the object store.
        run_id: Id of the run.
        recipe: Name or URI of the recipe.
        shard: Which part, i/n.
        images: The image dataset.
        part: What was made.

    Returns:
        The part.
    """
    from mammo_core import steps

    part.metadata.update(
        steps.sample(
            store=store,
            run_id=run_id,
            recipe=recipe,
            shard=shard,
            images=images.path,
            out=part.path,
        )
    )
    return shard
