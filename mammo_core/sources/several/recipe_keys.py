"""What a recipe says about what is read: one source, or several."""

from pydantic import BaseModel

from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.several.entry import SourceEntry, training_sources
from mammo_core.sources.several.joined_files import JoinedFiles


class HasSources(BaseModel):
    """A model with the keys `source` and `sources`, one of which is given."""

    @property
    def all_sources(self) -> tuple[SourceConfig, ...]:
        """The source, or the sources."""
        source = self._source
        return (source,) if source is not None else self._entries

    @property
    def training_names(self) -> list[str]:
        """The names of the sources that trainings see, where there are several."""
        return [entry.name for entry in training_sources(self._entries)]

    @property
    def adapters(self) -> str:
        """The adapters of the sources that trainings see, with plus signs between them."""
        entries = training_sources(self._entries)
        sources = (self._source,) if self._source is not None else entries
        return "+".join(dict.fromkeys(source.adapter for source in sources))

    @property
    def acknowledged(self) -> list[str]:
        """The names of terms that any source acknowledges, sorted."""
        return sorted({name for source in self.all_sources for name in source.acknowledged})

    def source_files(self) -> SourceFiles:
        """Return the files of the source; of several, each under the name of its source.

        Raises:
            SourceError: Ids are keyed, and there is no site key.
        """
        if self._source is not None:
            return self._source.files()
        return JoinedFiles({entry.name: entry.files() for entry in self._entries})

    @property
    def _source(self) -> SourceConfig | None:
        source: SourceConfig | None = getattr(self, "source", None)
        return source

    @property
    def _entries(self) -> tuple[SourceEntry, ...]:
        entries: tuple[SourceEntry, ...] = getattr(self, "sources", ())
        return entries
