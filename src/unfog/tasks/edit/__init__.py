"""Edit items with a trained model: vary, translate, interpolate, complete, enlarge, restore."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from unfog.errors import ArgumentError
from unfog.registry import Registry, unknown
from unfog.tasks.edit.complete import inpaint, outpaint
from unfog.tasks.edit.edited import Edited
from unfog.tasks.edit.flows import decode, encode, interpolate, translate
from unfog.tasks.edit.seen import deblur, denoise, enlarge
from unfog.tasks.edit.sources import Source, read
from unfog.tasks.edit.vary import vary
from unfog.tasks.generate import generate
from unfog.tasks.measure import measured

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

__all__ = ["Edited", "edit", "edits", "options"]

edits: Registry[Any] = Registry("task")

for _make, _aliases, _summary in (
    (vary, ("img2img", "sdedit"), "noise in part and draw anew: variations, image to image"),
    (translate, ("ddib",), "the same noise under other conditions"),
    (interpolate, ("morph",), "from each item to the next"),
    (inpaint, ("fill",), "draw what is not kept"),
    (outpaint, ("uncrop",), "draw what lies around an image"),
    (enlarge, ("super_resolution", "upscale"), "more pixels, with the small image as block means"),
    (deblur, (), "undo a Gaussian blur"),
    (denoise, (), "undo Gaussian noise of a stated size"),
    (encode, ("invert",), "the noise that items come from, as .npz"),
    (decode, (), "items from that noise"),
):
    edits.add(_make.__name__, aliases=_aliases, summary=_summary)(_make)


COMMON = ("given", "scale", "steps", "seed", "batch", "show")


def options(task: str) -> set[str]:
    """What a task can be told beside the items."""
    make = edits[task]
    found = {
        name
        for name, one in inspect.signature(make).parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if make in (encode, decode, interpolate, translate):
        return found | {"given", "scale", "steps", "batch", "show"}
    if make in (deblur, denoise, enlarge):
        drawn = inspect.signature(measured).parameters
        return found | {"method", "draws", *COMMON} | (set(drawn) & {"solver", "eta", "options"})
    drawn = inspect.signature(generate).parameters
    return found | {*COMMON, *(set(drawn) & {"solver", "grid", "eta", "corrector", "tol"})}


def edit(model: Trained, source: Any, task: str, **choices: Any) -> Edited:
    """Edit items with a trained model, without training for it.

    Args:
        source: one item or many, as `fit` takes them and singly: an image file, a folder, .zip,
            .npz, .npy, an ndarray, a tensor, PIL images. For `decode`, noise that `encode` gave.
        task: vary, translate, interpolate, inpaint, outpaint, enlarge, deblur, denoise, encode or
            decode; see `unfog.tasks.edit` for the options of each.
    Raises: ArgumentError for tables, for a state that is not one tensor on a path with Gaussian
        noise, and for an option that the task does not take.
    """
    make = edits[task]
    known = options(task)
    for name in choices:
        if name not in known:
            raise ArgumentError(unknown(f"option of {task}", name, sorted(known)))
    draws = choices.get("draws", 1)
    if not isinstance(draws, int) or draws < 1:
        raise ArgumentError(f"draws is a whole number, 1 or more; got {draws!r}")
    if model.config.fields or not hasattr(model.borders.codec, "state_shape"):
        raise ArgumentError(
            f"this is a model of {model.config.kind}s; edit is of images and arrays, and fill "
            "draws the empty cells of tables"
        )
    if make is decode:
        return decode(model, _noise(source), **choices)
    if not isinstance(source, Source):
        source = read(model.borders.codec, model.config.kind, source, model.config.data.reading)
    made: Edited = make(model, source, **choices)
    return made


def _noise(source: Any) -> Any:
    """Noise from a file of `encode`, or as given."""
    import pathlib

    from unfog.kinds.npy import read_npy, read_npz

    if not isinstance(source, str | pathlib.Path):
        return source
    path = pathlib.Path(source)
    if path.suffix.lower() == ".npz":
        _, noise, columns = read_npz(path, "noise")
        listed = {name: list(values) for name, values in columns.items()}
        return Edited(list(noise), [], "array", listed, {"type": "npz"})
    return read_npy(path)
