"""The options of the array functions; read with a recipe, without NumPy."""

from typing import Final, Literal

FULL_RANGE: Final = 65535
"""The largest gray level of an image in this library: white, whatever the bit depth of the file."""

Stretch = Literal["bit_depth", "min_max", "none"]
Orientation = Literal["as_stored", "chest_left", "chest_right"]
Resize = Literal["forced", "height", "pad"]
Interpolation = Literal["area", "cubic", "linear"]
MaskInterpolation = Literal["nearest", "cubic"]
