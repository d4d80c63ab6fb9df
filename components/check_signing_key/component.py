"""Component `check-signing-key`."""

from kfp import dsl

from components.container_images import DATA_IMAGE


@dsl.component(base_image=DATA_IMAGE, install_kfp_package=False)
def check_signing_key(store: str, run_id: str, kfp_run_id: str) -> str:
    """Check, before any work, the key that will sign the model.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.

    Returns:
        The id of the key: the SHA-256 of its public part.
    """
    from mammo_core import at_paths

    return at_paths.check_signing_key(store=store, run_id=run_id, kfp_run_id=kfp_run_id)
