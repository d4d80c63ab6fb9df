"""Making an output: the lease, the attempt, and the one place that publishes manifests."""

from collections.abc import Callable
from dataclasses import dataclass

from mammo_core.datasets.manifests import Manifest, find, publish
from mammo_core.store import Lease, Store

#: A training may take three days; a second run waits for its output.
LEASE_WAIT_S = 80 * 3600.0


@dataclass(frozen=True)
class Attempt:
    """An attempt to make an output, by the process that holds its lease.

    Attributes:
        store: The object store.
        lease: The lease of the output.
    """

    store: Store
    lease: Lease

    def folder(self, output: str) -> str:
        """Return the folder of the files that this attempt writes.

        Args:
            output: Folder of the output: `Kind.output` or `Manifest.folder`.
        """
        return output


@dataclass(frozen=True)
class Draft:
    """An output whose files are in the store and whose manifest is not.

    Attributes:
        manifest: Its manifest, with its files.
        base: A published output that has some of its files.
        partial: Whether it is a part of an output, which is not published.
        finish: Called with the manifest once it is published, for notes and cleanup.
    """

    manifest: Manifest
    base: Manifest | None = None
    partial: bool = False
    finish: Callable[[Manifest], None] | None = None


Make = Callable[[Attempt], Draft]


def make_output(store: Store, name: str, make: Make, wait_s: float = LEASE_WAIT_S) -> Manifest:
    """Make an output and publish it.

    Args:
        store: The object store.
        name: Name of the lease: the output's folder, or that of its inputs' digest.
        make: Writes the files of the output; publishes nothing.
        wait_s: How long to wait for another process that makes it (seconds).

    Returns:
        The published manifest; that of a partial draft is not in the store.
    """
    return reuse_or_make(store, name, lambda: None, make, wait_s=wait_s)[0]


def reuse_or_make(
    store: Store,
    name: str,
    search: Callable[[], Manifest | None],
    make: Make,
    *,
    wait_s: float = LEASE_WAIT_S,
    say: Callable[[str], None] | None = None,
) -> tuple[Manifest, bool]:
    """Return the output that `search` finds; make and publish it if there is none.

    A lease keeps a second process from making the same output at the same time: it waits,
    searches again, and reuses what the first has published.

    Args:
        store: The object store.
        name: Name of the lease: the output's folder, or that of its inputs' digest.
        search: Returns the published output, or None.
        make: Writes the files of the output; publishes nothing.
        wait_s: How long to wait for another process that makes it (seconds).
        say: Prints what is made.

    Returns:
        The manifest, and whether it was reused.
    """
    manifest = search()
    if manifest is None:
        with store.lease(name, wait_s=wait_s) as lease:
            manifest = search()
            if manifest is None:
                if say is not None:
                    say(f"making {name}")
                return _publish(store, make(Attempt(store, lease))), False
    return manifest, True


def _publish(store: Store, draft: Draft) -> Manifest:
    """Publish a draft; an output with the same content address stays as it is."""
    if draft.partial:
        return draft.manifest
    manifest = find(store, draft.manifest.kind, draft.manifest.id)
    if manifest is None:
        manifest = publish(store, draft.manifest, draft.base)
    if draft.finish is not None:
        draft.finish(manifest)
    return manifest
