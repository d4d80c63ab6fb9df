"""Making an output: the lease, the attempt, and the one place that publishes manifests."""

from collections.abc import Callable
from dataclasses import dataclass

from mammo_core.datasets.manifests import Manifest, publish
from mammo_core.store import Lease, LeaseLostError, Store
from mammo_core.store.base import print_wait


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

        No other attempt writes there, so its files are never overwritten: an owner that was paused
        and has lost its lease may go on writing without harm.

        Args:
            output: Folder of the output: `Kind.output` or `Manifest.folder`.
        """
        return f"{output}/{self.lease.attempt}"


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


def make_output(store: Store, name: str, make: Make) -> Manifest:
    """Make an output and publish it.

    Args:
        store: The object store.
        name: Name of the lease: the output's folder, or that of its inputs' digest.
        make: Writes the files of the output; publishes nothing.

    Returns:
        The published manifest; that of a partial draft is not in the store.
    """
    return reuse_or_make(store, name, lambda: None, make)[0]


def reuse_or_make(
    store: Store,
    name: str,
    search: Callable[[], Manifest | None],
    make: Make,
    *,
    say: Callable[[str], None] | None = None,
) -> tuple[Manifest, bool]:
    """Return the output that `search` finds; make and publish it if there is none.

    A lease keeps a second process from making the same output at the same time: it waits as long
    as the first renews its lease, searches again, and reuses what the first has published. An
    owner that was paused for so long that it lost the lease publishes nothing, and does the same.

    Args:
        store: The object store.
        name: Name of the lease: the output's folder, or that of its inputs' digest.
        search: Returns the published output, or None.
        make: Writes the files of the output; publishes nothing.
        say: Prints what is made, and who is waited for; None: only the latter, by `print`.

    Returns:
        The manifest, and whether it was reused.
    """
    while True:
        manifest = search()
        if manifest is not None:
            return manifest, True
        try:
            with store.lease(name, on_wait=say or print_wait) as lease:
                manifest = search()
                if manifest is not None:
                    return manifest, True
                if say is not None:
                    say(f"making {name}")
                return _publish(store, make(Attempt(store, lease)), lease), False
        except LeaseLostError as error:
            (say or print_wait)(
                f"{error.problem}: this process was paused for too long, and another took over"
            )


def _publish(store: Store, draft: Draft, lease: Lease) -> Manifest:
    """Publish a draft; an output with the same content address stays as it is."""
    if draft.partial:
        return draft.manifest
    manifest = publish(store, draft.manifest, draft.base, lease)
    if draft.finish is not None:
        draft.finish(manifest)
    named = {file.key for file in manifest.files}
    for file in draft.manifest.files:  # written in vain: the output was there already
        if f"/{lease.attempt}" in file.key and file.key not in named:
            store.delete(file.key)
    return manifest
