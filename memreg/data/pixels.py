"""Images as RGB of 8 bits a channel: exactly what their format says, or refused by name.

Refused is what RGB of 8 bits cannot hold, or what needs a choice that is the user's: more bits, transparency
that shows, several pictures in one file, colours that are no RGB. A turn that EXIF asks for is made.
"""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
OPAQUE = ("RGB", "L", "P", "1", "RGBX")
TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")
DEEP = re.compile(r"(?!BGR).*;(12|16|24|32)")
"""What PIL calls more than 8 bits a channel, also where it makes 8 of them; BGR;16 is 5 or 6 for each."""
TURNED = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""Where an image may say how it is to be turned."""


def refusal(image: "Image", see_through: bool = False) -> str | None:
    """What this image has that RGB of 8 bits cannot hold; None where it is nothing.

    see_through: transparency is no reason.
    """
    if image.mode.startswith(("I", "F")) or any(map(_deep, _arguments(image))):
        return f"has more than 8 bits a pixel (mode {image.mode}): convert it to 8 first"
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        return f"holds {frames} pictures, as an animation does: save the one that counts"
    if image.mode in TRANSPARENT or "transparency" in image.info:
        if not see_through and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            return "is transparent in places: put it on a background first"
    elif image.mode not in OPAQUE:
        return f"has colours that are not RGB (mode {image.mode}): convert it to RGB first"
    return None


def _arguments(image: Any) -> list[Any]:
    """Of the decoders of its pixels."""
    return [tile[3] for tile in getattr(image, "tile", [])]


def _deep(arguments: Any) -> bool:
    """Whether a decoder's arguments are those of more than 8 bits a channel."""
    listed: list[Any] = [*arguments] if isinstance(arguments, tuple) else [arguments]
    if len(listed) == 2 and isinstance(listed[1], int):  # of PPM: its largest value
        return listed[1] > 255
    return isinstance(listed[0], str) and DEEP.match(listed[0]) is not None


def rgb(image: "Image") -> NDArray[np.uint8]:
    """Shape [height, width, 3], of an image that is not refused."""
    image = _upright(image)
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def fitted(image: "Image", side: int) -> NDArray[np.uint8]:
    """Shape [side, side, 3], of an image that is not refused: stretched, on white where it is transparent.

    A JPEG is decoded at an eighth, a quarter or a half of its size, where that leaves twice the side.
    """
    from PIL import Image

    image.draft(None, (2 * side, 2 * side))
    image = _upright(image)
    if image.mode in TRANSPARENT or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return resized(np.asarray(image.convert("RGB")), side)


def resized(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image [height, width, channels] stretched to this height and width, bilinearly; where that makes it
    smaller, each pixel is a weighted mean of all that it covers."""
    from PIL import Image

    if image.shape[:2] == (side, side):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    changed = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
    return changed.reshape(side, side, image.shape[2])


def _upright(image: "Image") -> "Image":
    """Turned as EXIF asks."""
    from PIL import ImageOps

    image.load()  # what turns a PNG may stand behind its pixels
    if TURNED.intersection(image.info) or image.format in ("TIFF", "MPO"):
        return ImageOps.exif_transpose(image)
    return image
