"""Component `convert-partition`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def convert_partition(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    partition: str,
    tables: dsl.Input[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
) -> None:
    """Convert one partition of the mammograms; `prepare-data` combines the partitions.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        partition: Which partition of the work, i/n.
        tables: Tables from `index`.
        records: The records of the partition.
    """
    from mammo_core.at_paths import data_pods

    records.metadata.update(
        data_pods.convert_partition(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            partition=partition,
            tables=tables.path,
            out=records.path,
        )
    )
