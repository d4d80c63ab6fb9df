"""Component `prepare-data`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def prepare_data(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    tables: dsl.Input[dsl.Dataset],
    data: dsl.Output[dsl.Dataset],
    validation: dsl.Output[dsl.HTML],
) -> list:
    """Convert the mammograms, publish and validate the frame, and cut the patches.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        tables: Tables from `index`.
        data: Tables, image dataset, frame and patch dataset.
        validation: The comparison with the data of the champion as one HTML page.

    Returns:
        The networks to train in a pod each; none if there is only one.
    """
    from mammo_core.at_paths import data_pods

    metadata, networks = data_pods.prepare_data(
        store=store,
        run_id=run_id,
        kfp_run_id=kfp_run_id,
        recipe=recipe,
        recipe_digest=recipe_digest,
        tables=tables.path,
        out=data.path,
        report=validation.path,
    )
    data.metadata.update(metadata)
    return networks
