"""Component `sample-shard`."""

from kfp import dsl

from pipelines.platform import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def sample_shard(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    shard: str,
    images: dsl.Input[dsl.Dataset],
    part: dsl.Output[dsl.Artifact],
) -> str:
    """Cut the patches of one part of the images; `sample` puts the parts together.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
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
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            partition=shard,
            images=images.path,
            out=part.path,
        )
    )
    return shard
