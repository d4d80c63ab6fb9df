"""Component `summarize`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def summarize(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    status: dsl.PipelineTaskFinalStatus,
    summary: dsl.Output[dsl.HTML],
) -> None:
    """Assemble the run's summary from what its steps left in the store, whatever happened.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        status: The state of the run that KFP reports.
        summary: The summary as one HTML page.
    """
    from mammo_core.at_paths import pods

    pods.summarize(
        store=store,
        run_id=run_id,
        kfp_run_id=kfp_run_id,
        recipe=recipe,
        state=status.state,
        page=summary.path,
    )
