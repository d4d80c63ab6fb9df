"""Component `validate-data`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def validate_data(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    images: dsl.Input[dsl.Dataset],
    frame: dsl.Input[dsl.Dataset],
    validation: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
) -> list:
    """Compare the data with those of the champion: schema, vendor, bit depth, intensity drift.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe; its `validation` holds the limits.
        recipe_digest: Digest of the run's recipe, from `index`.
        images: The image dataset.
        frame: The frame.
        validation: The result of each check.
        report: The same as one HTML page.

    Returns:
        The networks to train, one or the members of an ensemble, as items of a loop.
    """
    from mammo_core import at_paths

    validation.metadata.update(
        at_paths.validate_data(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            images=images.path,
            frame=frame.path,
            report=report.path,
            out=validation.path,
        )
    )
    return at_paths.members(
        store=store,
        run_id=run_id,
        kfp_run_id=kfp_run_id,
        recipe=recipe,
        recipe_digest=recipe_digest,
    )
