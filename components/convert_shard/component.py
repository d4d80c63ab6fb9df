"""Component `convert-shard`."""

from kfp import dsl

from pipelines.platform import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def convert_shard(
    store: str,
    run_id: str,
    recipe: str,
    shard: str,
    tables: dsl.Input[dsl.Dataset],
    part: dsl.Output[dsl.Artifact],
) -> str:
    """Convert one part of the mammograms; `convert` puts the parts together.

    Args:
        store: URI of the object store.
        run_id: Id of the run.
        recipe: Name or URI of the recipe.
        shard: Which part, i/n.
        tables: Tables from `index`.
        part: What was made.

    Returns:
        The part.
    """
    from mammo_core import steps

    part.metadata.update(
        steps.convert(
            store=store,
            run_id=run_id,
            recipe=recipe,
            shard=shard,
            tables=tables.path,
            out=part.path,
        )
    )
    return shard
