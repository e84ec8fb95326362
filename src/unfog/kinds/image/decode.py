"""One image file → pixels: modes, orientation, bit depth and size, by stated rules."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from unfog.kinds.image import png, tiff

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MAX_PIXELS = 64_000_000
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112
RESIZES = ("crop", "pad", "stretch")


class Refused(Exception):
    """A file that is not decoded; the message is the reason in a few words."""


@dataclass(frozen=True, order=True)
class Form:
    """What pixels hold: colour (3 channels) or grey, an alpha channel, bits 8, 16 or 32 (float)."""

    colour: bool = False
    alpha: bool = False
    bits: int = 8

    @property
    def channels(self) -> int:
        return (3 if self.colour else 1) + self.alpha

    @property
    def dtype(self) -> np.dtype:
        return np.dtype({8: np.uint8, 16: np.uint16, 32: np.float32}[self.bits])

    def __or__(self, other: Form) -> Form:
        """The narrowest form that holds both."""
        return Form(
            self.colour or other.colour, self.alpha or other.alpha, max(self.bits, other.bits)
        )

    def __str__(self) -> str:
        name = ("RGB" if self.colour else "grey") + (" with alpha" if self.alpha else "")
        return f"{name} of {self.bits} bits"


DEEP = {  # Pillow's raw modes of PNGs with 16 bits per colour
    "I;16B": Form(bits=16),
    "LA;16B": Form(alpha=True, bits=16),
    "RGB;16B": Form(colour=True, bits=16),
    "RGBA;16B": Form(colour=True, alpha=True, bits=16),
}


@dataclass(frozen=True)
class Header:
    """What is known of a file before decoding: size as seen (turned by EXIF), form, oddities."""

    height: int
    width: int
    form: Form
    frames: bool = False
    reduced: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


def header(file: IO[bytes], max_pixels: int = MAX_PIXELS) -> Header:
    """Read only the header. Raises Refused for what is not an image or too large."""
    with _opened(file, max_pixels) as image:
        return _about(image)


def both(
    file: IO[bytes], max_pixels: int, wanted: Callable[[Header], bool]
) -> tuple[Header, np.ndarray | None]:
    """The header, and where that is wanted the pixels in its form too, from one opening.

    Raises: Refused as `header` and `pixels` do.
    """
    with _opened(file, max_pixels) as image:
        found = _about(image)
        if not wanted(found):
            return found, None
        array, form = _guard(lambda: _deep_pixels(image, file, max_pixels) or from_pil(image))
        same = form == found.form and array.shape[:2] == (found.height, found.width)
        return found, array if same else None


def _about(image: Any) -> Header:
    width, height = image.size
    if image.format == "TIFF":  # Pillow has turned its size already
        turned = False
    elif image.format == "PNG" and "exif" not in image.info:
        turned = False  # asking a PNG for EXIF would decode it
    else:
        turned = _guard(lambda: image.getexif().get(ORIENTATION)) in TURNED
    return Header(
        height=width if turned else height,
        width=height if turned else width,
        form=_deep(image) or form_of(image),
        frames=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
        reduced=_sixteen(image) and _deep(image) is None and form_of(image).bits == 8,
    )


def pixels(file: IO[bytes], max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, Form]:
    """Decode the first frame, upright. Returns (H, W, C) in the form's dtype, and the form.

    Raises: Refused for what can't be decoded whole.
    """
    with _opened(file, max_pixels) as image:
        return _guard(lambda: _deep_pixels(image, file, max_pixels) or from_pil(image))


def _deep(image: Any) -> Form | None:
    """The form of a file with 16 bits per colour that is read past Pillow; None for any other."""
    clear = "transparency" in image.info
    if image.format == "TIFF":
        count = tiff.channels(image)
        return Form(True, count == 4, 16) if count else None
    if image.format != "PNG" or not image.tile:
        return None
    form = DEEP.get(str(image.tile[0][3]))
    if form is None or (form == Form(bits=16) and not clear):
        return None
    return form | Form(alpha=clear)


def _deep_pixels(image: Any, file: IO[bytes], max_pixels: int) -> tuple[np.ndarray, Form] | None:
    form = _deep(image)
    if form is None:
        return None
    turned = image.getexif().get(ORIENTATION, 1)
    file.seek(0)
    if image.format == "TIFF":
        array = tiff.pixels(image, file)
    else:
        array = png.pixels(file, max_pixels)
    return png.upright(array, turned), form


def from_pil(image: Any) -> tuple[np.ndarray, Form]:
    """The pixels of a PIL image, EXIF orientation applied: (H, W, C) and their form."""
    from PIL import ImageOps

    image.load()
    form = form_of(image)
    image = ImageOps.exif_transpose(image)
    if form.bits == 16:
        array = np.asarray(image)
        if array.min(initial=0) < 0 or array.max(initial=0) > 65535:
            raise Refused("32-bit integers beyond 65535; save it as a 32-bit float TIFF or an .npz")
        return array.astype(np.uint16)[..., None], form
    if form.bits == 32:
        array = np.asarray(image)
        if not np.isfinite(array).all():
            raise Refused("values that are not finite")
        return array[..., None], form
    mode = ("RGB" if form.colour else "L") + ("A" if form.alpha else "")
    array = np.asarray(image.convert(mode) if image.mode != mode else image)
    return (array if array.ndim == 3 else array[..., None]), form


def form_of(image: Any) -> Form:
    """The form that holds all that an image of this mode can show."""
    mode = image.mode
    clear = "transparency" in image.info
    if mode.startswith("I"):
        return Form(bits=16)
    if mode == "F":
        return Form(bits=32)
    if mode in ("1", "L", "LA", "La"):
        return Form(alpha=mode.startswith("LA") or mode == "La" or clear)
    return Form(colour=True, alpha=mode in ("PA", "RGBA", "RGBa") or clear)


def widen(array: np.ndarray, have: Form, want: Form) -> np.ndarray:
    """(H, W, C) pixels in the wider form.

    Grey is repeated, an opaque alpha added, 8 bits multiplied by 257; as floats they are in [0, 1].
    """
    if have == want:
        return array
    colours, alpha = (array[..., :-1], array[..., -1:]) if have.alpha else (array, None)
    if want.colour and not have.colour:
        colours = np.repeat(colours, 3, axis=-1)
    if want.alpha:
        full = 1.0 if have.bits == 32 else np.iinfo(have.dtype).max
        alpha = np.full_like(array[..., :1], full) if alpha is None else alpha
        colours = np.concatenate([colours, alpha], axis=-1)
    if have.bits == want.bits:
        return colours
    if want.bits == 16:
        return colours.astype(np.uint16) * np.uint16(257)
    return colours.astype(np.float32) / np.float32(np.iinfo(have.dtype).max)


def fit_size(array: np.ndarray, size: tuple[int, int], resize: str, *, alpha: bool) -> np.ndarray:
    """(H, W, C) → (height, width, C), antialiased (Lanczos).

    "crop" cuts the largest centred window of the asked proportions, "pad" fills up with zeros
    around the whole image, "stretch" gives up the proportions. Colours are weighted by alpha where
    there is one.
    """
    height, width = size
    have_h, have_w = array.shape[:2]
    if (have_h, have_w) == size:
        return array
    if resize == "crop":
        scale = min(have_h / height, have_w / width)
        cut_h, cut_w = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (have_h - cut_h) // 2, (have_w - cut_w) // 2
        return _resample(array[top : top + cut_h, left : left + cut_w], size, alpha)
    if resize == "pad":
        scale = min(height / have_h, width / have_w)
        inner = (max(1, round(have_h * scale)), max(1, round(have_w * scale)))
        out = np.zeros((height, width, array.shape[2]), array.dtype)
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        out[top : top + inner[0], left : left + inner[1]] = _resample(array, inner, alpha)
        return out
    return _resample(array, size, alpha)


def _resample(array: np.ndarray, size: tuple[int, int], alpha: bool) -> np.ndarray:
    """Lanczos on each channel in floats; integers are rounded and its overshoot is cut off."""
    from PIL import Image

    if array.shape[:2] == size:
        return array
    if array.dtype == np.uint8 and array.shape[2] in ((1, 3, 4) if not alpha else (1, 2, 3, 4)):
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA" if alpha else "CMYK"}[array.shape[2]]
        flat = np.ascontiguousarray(array[..., 0] if mode == "L" else array)
        made = Image.frombytes(mode, (array.shape[1], array.shape[0]), flat.tobytes())
        out = np.asarray(made.resize(size[::-1], Image.Resampling.LANCZOS))
        return out if out.ndim == 3 else out[..., None]
    values = array.astype(np.float32)
    if alpha:
        values[..., :-1] *= values[..., -1:]
    planes = [
        np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.LANCZOS))
        for plane in np.moveaxis(values, -1, 0)
    ]
    out = np.stack(planes, axis=-1)
    if alpha:
        out[..., :-1] /= np.where(out[..., -1:] > 0, out[..., -1:], 1)
    if np.issubdtype(array.dtype, np.integer):
        info = np.iinfo(array.dtype)
        out = np.clip(np.rint(out), info.min, info.max)
    return out.astype(array.dtype)


def _opened(file: IO[bytes], max_pixels: int) -> Any:
    from PIL import (  # noqa: F401
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    def opened() -> Any:
        try:
            return Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError as error:  # from 179 megapixels on; ours is below
            count = re.search(r"\d+", str(error))
            many = f"{count[0]} pixels" if count else "too many pixels"
            raise Refused(f"{many}, more than the limit of {max_pixels}") from error

    image = _guard(opened)
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise Refused(f"{width}×{height} pixels, more than the limit of {max_pixels}")
    if width * height == 0:
        image.close()
        raise Refused("no pixels")
    return image


def _guard(work: Any) -> Any:
    """Run a decoder on foreign bytes: whatever it raises is a reason to refuse the file."""
    from PIL import UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow only warns of is checked or mended here
            return work()
    except Refused:
        raise
    except UnidentifiedImageError as error:
        raise Refused("not an image of a known format") from error
    except Exception as error:
        said = str(error).strip().splitlines()
        raise Refused(said[0] if said else type(error).__name__) from error


def _sixteen(image: Any) -> bool:
    """Whether the file has 16 bits per channel."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (8,))) > 8
    tile = image.tile[0] if image.tile else None
    return image.format == "PNG" and tile is not None and "16" in str(tile[3])
