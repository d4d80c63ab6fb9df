"""Event files for TensorBoard, written without TensorFlow."""

import io
import time
from collections.abc import Mapping


class EventFile:
    """The events of one training, as the bytes of an event file for TensorBoard."""

    def __init__(self) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._start = time.time()
        self._buffer = io.BytesIO()
        self._records = RecordWriter(self._buffer)
        version = Event(wall_time=self._start, file_version="brain.Event:2")
        self._records.write(version.SerializeToString())

    @property
    def name(self) -> str:
        """Name of the file, by which TensorBoard recognizes event files."""
        return f"events.out.tfevents.{int(self._start)}.mammo"

    @property
    def data(self) -> bytes:
        """All bytes so far."""
        return self._buffer.getvalue()

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add the numbers of an epoch."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(Summary(value=scalars), step)

    def add_picture(self, name: str, png: bytes, step: int) -> None:
        """Add a PNG picture."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        # Bytes 16 to 23 of a PNG file are its width and height.
        width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
        image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
        self._add(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    def _add(self, summary: object, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), step=step, summary=summary)
        self._records.write(event.SerializeToString())
