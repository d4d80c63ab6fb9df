"""The component of the step `case-mix`, for a pipeline of another package."""

from kfp import dsl


@dsl.component(base_image="example.org/mammo:1", install_kfp_package=False)
def case_mix(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    tables: dsl.Input[dsl.Dataset],
    mix: dsl.Output[dsl.Dataset],
) -> None:
    """Count images by view and class.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        tables: Tables of images, lesions and rejects.
        mix: The counts.
    """
    from mammo_core import at_paths

    mix.metadata.update(
        at_paths.case_mix(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            tables=tables.path,
            out=mix.path,
        )
    )
