"""Records: `tf.train.Example` messages, written and read without TensorFlow.

The messages are declared here in a private descriptor pool, with the wire format of TensorFlow
(tensorflow/core/example/{example,feature}.proto): tf.data can parse them, and both declarations
can coexist in one process.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mammo_core.errors import RecordError

Scalar = bytes | str | int | float
Value = Scalar | Sequence[int] | Sequence[float] | Sequence[bytes]


@dataclass(frozen=True)
class LesionMask:
    """The mask of a lesion.

    Attributes:
        lesion_id: The lesion.
        mask: `(h, w) bool`, true inside the lesion, in the geometry of the image record.
    """

    lesion_id: str
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ImageRecord:
    """A converted mammogram.

    Attributes:
        image_id: SHA-256 of the source file.
        pixels: `(h, w) uint16, [0, 65535]`, the full range for any bit depth of the source.
        lesions: Masks of the lesions, sorted by id.
        source_rows: Rows of the source image (pixels).
        source_columns: Columns of the source image (pixels).
    """

    image_id: str
    pixels: npt.NDArray[np.uint16]
    lesions: tuple[LesionMask, ...]
    source_rows: int
    source_columns: int

    def to_bytes(self) -> bytes:
        """Return the record as a serialized Example; equal records give equal bytes."""
        for lesion in self.lesions:
            if lesion.mask.shape != self.pixels.shape or lesion.mask.dtype != np.bool_:
                raise RecordError(
                    f"The mask of {lesion.lesion_id} cannot be written to a record",
                    expected=f"{self.pixels.shape} bool, like its image",
                    received=f"{lesion.mask.shape} {lesion.mask.dtype}",
                )
        return encode(
            {
                "image_id": self.image_id,
                "pixels": _pixel_bytes(self.pixels),
                "height": self.pixels.shape[0],
                "width": self.pixels.shape[1],
                "lesion_ids": [lesion.lesion_id.encode() for lesion in self.lesions],
                "masks": [np.packbits(lesion.mask).tobytes() for lesion in self.lesions],
                "source_rows": self.source_rows,
                "source_columns": self.source_columns,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "ImageRecord":
        """Read a record; raises RecordError if it is not an image record."""
        fields = decode(data)
        try:
            shape = (fields["height"][0], fields["width"][0])
            size = shape[0] * shape[1]
            return cls(
                image_id=fields["image_id"][0].decode(),
                pixels=np.frombuffer(fields["pixels"][0], "<u2").reshape(shape),
                lesions=tuple(
                    LesionMask(
                        name.decode(),
                        np.unpackbits(np.frombuffer(bits, np.uint8), count=size)
                        .reshape(shape)
                        .view(np.bool_),
                    )
                    for name, bits in zip(
                        fields.get("lesion_ids", []), fields.get("masks", []), strict=True
                    )
                ),
                source_rows=fields["source_rows"][0],
                source_columns=fields["source_columns"][0],
            )
        except (KeyError, ValueError, IndexError) as error:
            raise _unreadable_error("an image", error) from error


@dataclass(frozen=True)
class PatchRecord:
    """A patch cut from a converted mammogram.

    Attributes:
        patch_id: Unique in its dataset.
        image_id: The image it was cut from.
        lesion_id: The lesion it shows; empty for background.
        kind: `lesion`, `background`, `hard_negative` or `near_lesion`.
        pixels: `(side, side) uint16, [0, 65535]`.
        row: Row of its center in the image record (pixels).
        column: Column of its center in the image record (pixels).
        overlap: The common area of patch and lesion, as a fraction of the smaller of the two,
            [0, 1]; for a patch without a lesion, the largest value over all lesions and over
            their union.
        cutoff: The overlap cutoff at which it was accepted, [0, 1].
    """

    patch_id: str
    image_id: str
    lesion_id: str
    kind: str
    pixels: npt.NDArray[np.uint16]
    row: int
    column: int
    overlap: float
    cutoff: float

    def to_bytes(self) -> bytes:
        """Return the record as a serialized Example; equal records give equal bytes."""
        return encode(
            {
                "patch_id": self.patch_id,
                "image_id": self.image_id,
                "lesion_id": self.lesion_id,
                "kind": self.kind,
                "pixels": _pixel_bytes(self.pixels),
                "height": self.pixels.shape[0],
                "width": self.pixels.shape[1],
                "row": self.row,
                "column": self.column,
                "overlap": self.overlap,
                "cutoff": self.cutoff,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "PatchRecord":
        """Read a record; raises RecordError if it is not a patch record."""
        fields = decode(data)
        try:
            return cls(
                patch_id=fields["patch_id"][0].decode(),
                image_id=fields["image_id"][0].decode(),
                lesion_id=fields["lesion_id"][0].decode(),
                kind=fields["kind"][0].decode(),
                pixels=np.frombuffer(fields["pixels"][0], "<u2").reshape(
                    fields["height"][0], fields["width"][0]
                ),
                row=fields["row"][0],
                column=fields["column"][0],
                overlap=fields["overlap"][0],
                cutoff=fields["cutoff"][0],
            )
        except (KeyError, ValueError, IndexError) as error:
            raise _unreadable_error("a patch", error) from error


def encode(fields: Mapping[str, Value]) -> bytes:
    """Return fields as a serialized Example.

    Args:
        fields: Text and bytes become a bytes list, ints an int64 list, floats a float list.
    """
    example = _example_class()()
    for name in sorted(fields):
        value = fields[name]
        values: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
        feature = example.features.feature[name]
        if all(isinstance(item, (str, bytes)) for item in values):
            data = [item.encode() if isinstance(item, str) else item for item in values]
            feature.bytes_list.value.extend(data)
        elif all(isinstance(item, (int, np.integer)) for item in values):
            feature.int64_list.value.extend(int(item) for item in values)
        else:
            feature.float_list.value.extend(float(item) for item in values)
    data = example.SerializeToString(deterministic=True)
    return bytes(data)


def decode(data: bytes) -> dict[str, list[Any]]:
    """Return the fields of a serialized Example; raises RecordError if it is not one."""
    from google.protobuf.message import DecodeError

    try:
        example = _example_class().FromString(data)
    except DecodeError as error:
        raise _unreadable_error("a dataset", error) from error
    fields = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        fields[name] = list(getattr(feature, kind).value) if kind else []
    return fields


def _pixel_bytes(pixels: npt.NDArray[np.uint16]) -> bytes:
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise RecordError(
            "Pixels cannot be written to a record",
            expected="(h, w) uint16",
            received=f"{pixels.shape} {pixels.dtype}",
        )
    return np.ascontiguousarray(pixels, "<u2").tobytes()


def _unreadable_error(kind: str, error: Exception) -> RecordError:
    return RecordError(
        f"A record cannot be read as {kind} record",
        expected="a tf.train.Example with the fields of that kind",
        received=f"{type(error).__name__}: {error}",
    )


@functools.cache
def _example_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="mammo/example.proto", package="tensorflow", syntax="proto3"
    )
    field = descriptor_pb2.FieldDescriptorProto
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, label=field.LABEL_REPEATED, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, list_type) in enumerate(
        [("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List")], 1
    ):
        feature.field.add(
            name=name,
            number=number,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE,
            type_name=f".tensorflow.{list_type}",
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(
        name="value",
        number=2,
        label=field.LABEL_OPTIONAL,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Feature",
    )
    features.field.add(
        name="feature",
        number=1,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Features.FeatureEntry",
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features",
        number=1,
        label=field.LABEL_OPTIONAL,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Features",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
