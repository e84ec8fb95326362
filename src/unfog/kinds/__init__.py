"""Kinds of data: one room each, with the same verbs. `kinds["image"]` is one of them.

>>> from unfog.kinds import kinds
>>> kinds.names()
['image', 'array', 'table']
"""

from __future__ import annotations

from unfog.kinds.array.codec import ArrayCodec
from unfog.kinds.array.defaults import defaults as array_defaults
from unfog.kinds.array.look import give_back as array_give_back
from unfog.kinds.array.look import look as array_look
from unfog.kinds.array.look import save as array_save
from unfog.kinds.array.read import read as array_read
from unfog.kinds.image.codec import ImageCodec
from unfog.kinds.image.defaults import defaults as image_defaults
from unfog.kinds.image.look import give_back as image_give_back
from unfog.kinds.image.look import look as image_look
from unfog.kinds.image.look import save as image_save
from unfog.kinds.image.read import read as image_read
from unfog.kinds.kind import Kind
from unfog.kinds.table.back import give_back as table_give_back
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.defaults import defaults as table_defaults
from unfog.kinds.table.look import look as table_look
from unfog.kinds.table.read import read as table_read
from unfog.kinds.table.save import save as table_save
from unfog.registry import Registry

__all__ = ["Kind", "kinds"]

kinds: Registry[Kind] = Registry("kind")

kinds.add(
    "image",
    aliases=("images",),
    summary="pictures of one size: PNG, JPEG, WebP, TIFF … folders, zip archives, arrays, PIL",
)(
    Kind(
        name="image",
        read=image_read,
        codec=ImageCodec,
        defaults=image_defaults,
        look=image_look,
        save=image_save,
        give_back=image_give_back,
    )
)
kinds.add(
    "array",
    aliases=("arrays",),
    summary="numbers of any shape: .npy, .npz, ndarrays, tensors",
)(
    Kind(
        name="array",
        read=array_read,
        codec=ArrayCodec,
        defaults=array_defaults,
        look=array_look,
        save=array_save,
        give_back=array_give_back,
    )
)
kinds.add(
    "table",
    aliases=("tables",),
    summary="rows of columns of mixed type, cells may be missing: CSV, TSV, Parquet, data frames",
)(
    Kind(
        name="table",
        read=table_read,
        codec=TableCodec,
        defaults=table_defaults,
        look=table_look,
        save=table_save,
        give_back=table_give_back,
    )
)
