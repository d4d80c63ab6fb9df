"""Which images are read, by which adapter, with which options."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mammo_core.sources.adapter import adapter_names, registered_adapters
from mammo_core.sources.card.terms import Terms
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.patients import site_key

_Options = TypeVar("_Options", bound=BaseModel)


class SourceConfig(BaseModel):
    """An image tree with its case tables, and the options of its adapter.

    There is one more key for each adapter with options, named after the adapter
    (`source.inbreast.contours`); it is validated by that adapter's own model.

    Args:
        adapter: A registered adapter (`mammo_core.sources.adapter`).
        root: The images: a folder, file:// or s3:// URI. CBIS-DDSM may have any number of
            collection folders above the official first folders.
        tables: The case tables, likewise, or one CSV file: what the adapter reads. By default
            they are searched under the root, if the adapter can find them there.
        partial: Whether the tables are a part of the collection, of which some may be
            missing or without rows; otherwise that is an error.
        image_id: What an image is called: the SHA-256 of its file, by which whoever holds the
            file can find it in every output, or `keyed`: that digest under the site key.
        terms: License and terms of your own data: `name`, `license`, `url`, `conditions` and what
            it `forbids` (`serving`, `redistribution`, `model_redistribution`,
            `image_redistribution`); default: those of the adapter's data set.
        acknowledged: Names of terms whose prohibitions do not stop a push of this run.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    adapter: str = "cbis_ddsm"
    root: str = Field(min_length=1)
    tables: str | None = None
    partial: bool = False
    image_id: Literal["digest", "keyed"] = "digest"
    terms: Terms | None = None
    acknowledged: tuple[str, ...] = ()

    @field_validator("adapter")
    @classmethod
    def _require_registered(cls, name: str) -> str:
        names = adapter_names()
        if name not in names:
            raise PydanticCustomError("adapter", "one of {names}", {"names": ", ".join(names)})
        return name

    @model_validator(mode="before")
    @classmethod
    def _validate_options(cls, values: Any) -> Any:
        """Validate the options of adapters, and refuse every other key."""
        if not isinstance(values, Mapping):
            return values
        chosen = values.get("adapter", cls.model_fields["adapter"].default)
        fields: dict[str, Any] = {
            name: (adapter.options, adapter.options() if name == chosen else None)
            for name, adapter in registered_adapters().items()
            if adapter.options is not None
        }
        schema = create_model("AdapterOptions", __config__=ConfigDict(extra="forbid"), **fields)
        others = {key: value for key, value in values.items() if key not in cls.model_fields}
        options = schema.model_validate(others)
        return {
            **{key: value for key, value in values.items() if key in cls.model_fields},
            **{name: value for name, value in options if value is not None},
        }

    def options(self, model: type[_Options]) -> _Options:
        """Return the options of the adapter.

        Args:
            model: The adapter's options model.
        """
        options = (self.model_extra or {}).get(self.adapter)
        return options if isinstance(options, model) else model()

    @property
    def lossy_jpeg(self) -> bool:
        """Whether JPEG pictures are read: the collection is published so, or an option says so."""
        adapter = registered_adapters()[self.adapter]
        if adapter.lossy_jpeg or adapter.options is None:
            return adapter.lossy_jpeg
        return bool(getattr(self.options(adapter.options), "lossy_jpeg", False))

    def files(self) -> SourceFiles:
        """Return the files under the root.

        Raises:
            SourceError: Ids are keyed, and there is no site key.
        """
        files = SourceFiles.open(self.root, lossy_jpeg=self.lossy_jpeg)
        if self.image_id == "keyed":
            files.site_key = site_key()
        return files
