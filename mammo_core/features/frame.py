"""Frames: which image or lesion, which label, which split, and the training statistics."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.features.kinds import FRAME, FrameFacts
from mammo_core.ingest.kinds import dataset_facts
from mammo_core.preprocessing import IntensityConfig, Preprocessing
from mammo_core.sampling.labels import BACKGROUND, FIVE_CLASSES, LESION_CLASSES, LabelMap
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.several.names import EXTERNAL, NAME_COLUMN
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: What a patch can show. A label map turns these into the classes of a network.
PATCH_CLASSES = (BACKGROUND, *LESION_CLASSES)
#: Classes of images: index 1 is malignant.
IMAGE_CLASSES = ("neg", "pos")
SPLITS = ("train", "validation", "test")
#: What the facts of a frame count in each split.
SPLIT_COUNTS = ("images", "views", "patients", "malignant")


@dataclass(frozen=True)
class Frame:
    """A published frame.

    Attributes:
        id: Content address of its rows and facts.
        images: image_id, view_id, patient_key, laterality, view, exam_key, exam_day, what the
            image is (`definitions.MEANING`), source, breast_density, manufacturer, bits_stored,
            intensity_mean, intensity_standard_deviation (of the record, [0, 65535]),
            lesion_types, label (0 or 1), label_origin, what else the source says about the breast
            (`definitions.TARGETS`), split; source_name where there are several sources.
        lesions: lesion_id, image_id, patient_key, patch_class, split.
        facts: All facts of its manifest.
    """

    id: str
    images: "pd.DataFrame"
    lesions: "pd.DataFrame"
    facts: FrameFacts

    @property
    def mean(self) -> float:
        """Mean pixel of the training images as networks receive them, [0, 255] by default."""
        return self.facts.mean

    @property
    def rescale_factor(self) -> float:
        """Factor that brings pixels from [0, 65535] to the scale of `mean`."""
        return self.facts.rescale_factor

    @property
    def shuffled_labels(self) -> bool:
        """Whether labels were permuted over patients; models of such a frame are never pushed."""
        return self.facts.shuffled_labels

    @property
    def intensity(self) -> IntensityConfig:
        """How gray levels become numbers."""
        return self.facts.intensity

    def preprocessing(self, dataset: Manifest, channels: int) -> Preprocessing:
        """Return how pixels of a dataset reach a network that is trained on this frame.

        Args:
            dataset: The image dataset, or its patches.
            channels: Channels of the network's input: 1, or 3.
        """
        facts = dataset_facts(dataset)
        return Preprocessing(
            geometry=facts.geometry,
            bit_depth=facts.bit_depth,
            mean=self.mean,
            rescale_factor=self.rescale_factor,
            intensity=self.intensity.regime,
            target_scale=self.intensity.target_scale,
            equalize=self.intensity.equalize,
            conversion=facts.conversion,
            channels=1 if channels == 1 else 3,
        )

    @property
    def image_policy(self) -> ImagePolicy:
        """What was done with images that are not plain mammograms."""
        return self.facts.images

    def without_external(self) -> "Frame":
        """Return the frame without the images of sources that are held out."""
        kept = self.images["split"] != EXTERNAL
        return self if kept.all() else replace(self, images=self.images[kept])

    def split(self, name: str) -> "pd.DataFrame":
        """Return the images of a split, sorted by id."""
        rows: pd.DataFrame = self.images[self.images["split"] == name]
        return rows.sort_values("image_id").reset_index(drop=True)

    def source_names(self) -> dict[str, str]:
        """Return image id → name of its source; nothing where there is one source."""
        if NAME_COLUMN not in self.images:
            return {}
        rows = zip(self.images["image_id"], self.images[NAME_COLUMN], strict=True)
        return {str(id): str(name) for id, name in rows}

    def image_labels(self, split: str) -> dict[str, int]:
        """Return image id → 1 for malignant, 0 for not, for the images of a split."""
        rows = self.split(split)
        return {
            str(id): int(label) for id, label in zip(rows["image_id"], rows["label"], strict=True)
        }

    def patch_labels(
        self, patches: "pd.DataFrame", split: str, label_map: LabelMap = FIVE_CLASSES
    ) -> dict[str, int]:
        """Return patch id → class index for the patches of a split's images.

        Args:
            patches: The table of a patch dataset.
            split: Name of the split.
            label_map: The classes; patches of lesions without a class are left out.

        Raises:
            RecordError: A lesion of a patch is not in the frame.
        """
        image_ids = set(self.images.loc[self.images["split"] == split, "image_id"])
        classes = dict(zip(self.lesions["lesion_id"], self.lesions["patch_class"], strict=True))
        labels = {}
        for row in patches[patches["image_id"].isin(image_ids)].itertuples():
            if row.kind != "lesion":
                labels[row.patch_id] = 0
            elif row.lesion_id in classes:
                index = label_map.index(classes[row.lesion_id])
                if index is not None:
                    labels[row.patch_id] = index
            else:
                raise RecordError(
                    f"The lesion {row.lesion_id} of a patch is not in the frame {self.id}",
                    expected="a frame made from the same tables as the patches",
                    received=f"a frame of {len(classes)} other lesions",
                )
        return labels


def read_frame(store: Store, id: str) -> Frame:
    """Read a published frame; RecordError if it does not exist."""
    manifest = FRAME.find(store, id)
    if manifest is None:
        raise RecordError(
            f"There is no frame {id} in {store.uri}",
            expected="the id of a published frame",
            received=id,
        )
    return frame_from_manifest(store, manifest)


def frame_of_dataset(store: Store, dataset: Manifest) -> Frame:
    """Read the only frame that was published of an image dataset, or of its patches.

    Raises:
        RecordError: There is no such frame, or more than one: then it must be named.
    """
    images = dataset.lineage.get("images", dataset.id)
    ids = sorted({key.split("/")[1] for key in store.list(f"{FRAME.folder}/")})
    frames = [frame for id in ids if (frame := FRAME.find(store, id)) is not None]
    matching = [frame.id for frame in frames if frame.lineage.get("images") == images]
    if len(matching) != 1:
        raise RecordError(
            f"The frame of {dataset.folder} cannot be chosen",
            expected="one frame of its images, or the id of a frame (--frame)",
            received=", ".join(matching) or "no such frame",
        )
    return read_frame(store, matching[0])


def frame_from_manifest(store: Store, manifest: Manifest) -> Frame:
    """Read the frame of a manifest."""
    return Frame(
        id=manifest.id,
        images=read_table(store, manifest, "images.parquet"),
        lesions=read_table(store, manifest, "lesions.parquet"),
        facts=FRAME.facts_of(manifest),
    )
