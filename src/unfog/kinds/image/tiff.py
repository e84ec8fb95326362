"""16 bits per colour in plain TIFF files, which Pillow cuts to 8, read whole."""

from __future__ import annotations

import zlib
from typing import IO, Any

import numpy as np

BITS, PACKING, STARTS, SAMPLES, LENGTHS, PLANES = 258, 259, 273, 277, 279, 284
PREDICTOR, TILES, EXTRA, FORMAT, MEANING = 317, 322, 338, 339, 262
PLAIN, DEFLATE = 1, (8, 32946)
ALPHA = 2  # an extra sample that is alpha, colours not multiplied by it


def channels(image: Any) -> int:
    """3 or 4 for an open RGB(A) TIFF of 16 bits per colour that `pixels` reads whole, else 0.

    That is: in strips, its colours interleaved, unpacked or packed by deflate.
    """
    tags = image.tag_v2
    count = int(tags.get(SAMPLES, 1))
    alpha = (ALPHA,) if count == 4 else ()
    plain = (
        count in (3, 4)
        and tuple(tags.get(BITS, ())) == (16,) * count
        and set(tags.get(FORMAT, (1,))) == {1}
        and tags.get(MEANING) == 2
        and tuple(tags.get(EXTRA, ())) == alpha
        and tags.get(PACKING, PLAIN) in (PLAIN, *DEFLATE)
        and tags.get(PREDICTOR, 1) in (1, 2)
        and tags.get(PLANES, 1) == 1
        and STARTS in tags
        and LENGTHS in tags
        and TILES not in tags
    )
    return count if plain else 0


def pixels(image: Any, file: IO[bytes]) -> np.ndarray:
    """uint16 (H, W, C) of such a TIFF, as stored: orientation not applied.

    Raises: ValueError for strips that do not hold the pixels that the header declares.
    Ref: Adobe 1992, TIFF revision 6.0; sections 3, 14.
    """
    tags, count = image.tag_v2, channels(image)
    width, height = int(tags[256]), int(tags[257])
    expected = height * width * count * 2
    parts: list[bytes] = []
    left = expected
    for start, length in zip(tags[STARTS], tags[LENGTHS], strict=True):
        file.seek(int(start))
        body = file.read(int(length))
        if len(body) < length:
            raise ValueError("it ends early")
        if tags.get(PACKING, PLAIN) in DEFLATE:
            body = zlib.decompressobj().decompress(body, left + 1)
        parts.append(body)
        left -= len(body)
        if left < 0:
            break
    if left != 0:
        raise ValueError(f"its strips hold {expected - left} bytes or more, not {expected}")
    order = image.tag_v2.prefix
    flat = np.frombuffer(b"".join(parts), ">u2" if order == b"MM" else "<u2")
    array = flat.reshape(height, width, count).astype(np.uint16)
    if tags.get(PREDICTOR, 1) == 2:  # differences from the pixel to the left, modulo 65536
        array = np.cumsum(array, axis=1, dtype=np.uint16)
    return array
