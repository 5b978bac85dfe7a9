"""Images of several examples as one picture, so that a page asks once for a screenful."""

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96  # pixels of a tile, at most
EXACT = (
    40  # pixels up to which a tile is kept without loss: small images are enlarged, and show every artefact
)
MOST = 400  # tiles of a picture


def side(shape: Sequence[int], most: int = SIDE) -> int:
    """Pixels of the square tile of an image [height, width, ...]."""
    return min(most, max(shape[0], shape[1]))


def sheet(images: NDArray[np.uint8], columns: int, most: int = SIDE) -> Image.Image:
    """Tiles in rows of `columns`, each image centred in its square. images: [n, height, width, channels]."""
    n, height, width, channels = images.shape
    edge = side((height, width), most)
    canvas = Image.new("L" if channels == 1 else "RGB", (columns * edge, math.ceil(n / columns) * edge))
    for i, image in enumerate(images):
        tile = picture(image)
        if max(tile.size) > edge:
            tile.thumbnail((edge, edge), reducing_gap=2.0)
        row, column = divmod(i, columns)
        x, y = (edge - tile.width) // 2, (edge - tile.height) // 2
        canvas.paste(tile, (column * edge + x, row * edge + y))
    return canvas


def picture(image: NDArray[np.uint8]) -> Image.Image:
    """One image [height, width, channels]."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image[..., :3])


def encoded(image: Image.Image, exact: bool = True) -> tuple[bytes, str]:
    """The file's bytes and its media type."""
    stream = io.BytesIO()
    if exact:
        image.save(stream, "PNG", compress_level=1)
        return stream.getvalue(), "image/png"
    image.save(stream, "JPEG", quality=88)
    return stream.getvalue(), "image/jpeg"
