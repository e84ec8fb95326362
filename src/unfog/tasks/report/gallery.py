"""The pictures of a report: samples beside training data, and each beside its nearest."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unfog.judge.novelty import NEIGHBOURS, nearest
from unfog.judge.table import nearest_rows
from unfog.kinds import kinds
from unfog.kinds.array.look import in_pairs
from unfog.kinds.given import resolve

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

ROWS = 500
"""Rows of a table that are drawn for its pictures."""


def shown(model: Trained) -> int:
    """How many samples a report draws."""
    if model.config.kind == "table":
        return ROWS
    classes = _classes(model)
    return 36 if classes is None else 8 * len(classes[1])


def asked(model: Trained) -> dict[str, Any] | None:
    """The conditions of those samples: eight of every class, where there are few classes."""
    if model.config.kind == "table":
        return None
    classes = _classes(model)
    return None if classes is None else {classes[0]: [v for v in classes[1] for _ in range(8)]}


def _classes(model: Trained) -> tuple[str, list[Any]] | None:
    """The class condition and its values, if the model has one with at most 32."""
    for name, field in model.borders.given.fields.items():
        if field.spec["type"] == "class" and field.spec["size"] <= 32:
            return name, list(field.decode(torch.arange(field.spec["size"])))
    return None


def pair(model: Trained, samples: Any, train: Any) -> str:
    """Samples beside training items; for a table one picture of both."""
    kind = kinds[model.config.kind]
    if model.config.kind == "table":
        drawn = picture(kind.look(samples.raw, beside=train.data))
        return (
            f"<figure>{drawn}<figcaption>{len(samples)} rows drawn by the model (blue), beside "
            "those it learnt from (grey)</figcaption></figure>"
        )
    classes = _classes(model)
    if classes is None:
        real = kind.look(train.data[: len(samples)])
    else:
        column = list(train.columns[resolve(classes[0], train.columns)])
        chosen = [
            i for v in classes[1] for i in [j for j, c in enumerate(column) if str(c) == str(v)][:8]
        ]
        real = kind.look(train.data[chosen], [column[i] for i in chosen])
    return (
        f"<div class=pair><figure>{picture(samples.look())}<figcaption>drawn by the model, not "
        f"picked</figcaption></figure><figure>{picture(real)}<figcaption>training "
        "data</figcaption></figure></div>"
    )


def neighbours(model: Trained, samples: Any, train: Any) -> str:
    """The ten samples that are nearest to a training item, for what is usual around it, each with
    that item: above it, or drawn over it.
    """
    if model.config.kind == "table":
        return _rows(samples.raw[:6], train.data)
    codec = model.borders.codec
    gaps, index = nearest(
        codec.encode(samples.raw).flatten(1), codec.encode(train.data).flatten(1), k=NEIGHBOURS + 1
    )
    alone = gaps[:, 0] / gaps[:, 1:].mean(1).clamp(min=1e-12) if gaps.shape[1] > 1 else gaps[:, 0]
    picked = alone.argsort()[:10].numpy()
    if model.config.kind == "array":
        drawn = picture(in_pairs(samples.raw[picked], train.data[index[picked, 0].numpy()]))
        return (
            f"<figure>{drawn}<figcaption>Of {len(samples)} samples the eight most like a copy "
            "(nearest to one training item, for how near the next ones are), each with that item: "
            "behind it in grey, or below it.</figcaption></figure>"
        )
    both = np.concatenate([samples.raw[picked], train.data[index[picked, 0].numpy()]])
    figure = kinds[model.config.kind].look(both, columns=len(picked))
    return (
        f"<figure>{picture(figure)}<figcaption>Above: of {len(samples)} samples the ten most like "
        "a copy (nearest to one training item, for how near the next ones are). Below each: that "
        "item.</figcaption></figure>"
    )


def _rows(samples: Any, train: Any) -> str:
    """Each row above the training row that is nearest to it; cells that differ are marked."""
    index = nearest_rows(samples, train)
    columns = [
        (samples.columns[name].to_list(), train[index].columns[name].to_list())
        for name in samples.names
    ]
    lines = []
    for row in range(len(samples)):
        for which in (0, 1):
            cells = "".join(
                f"<td{' class=bad' if which and both[0][row] != both[1][row] else ''}>"
                + html.escape(
                    ""
                    if both[which][row] is None
                    else f"{both[which][row]:.6g}"
                    if isinstance(both[which][row], float)
                    else str(both[which][row])
                )
                for both in columns
            )
            lines.append(f"<tr><th>{'nearest' if which else 'drawn'}{cells}</tr>")
    head = "".join(f"<th>{html.escape(name)}" for name in samples.names)
    return (
        "<p class=note>Each drawn row above the training row nearest to it; what differs is "
        f"coloured.</p><div class='wide nearest'><table><tr><th>{head}</tr>{''.join(lines)}</table>"
        "</div>"
    )


def picture(figure: Any) -> str:
    """A matplotlib figure as an inline PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='' src='data:image/png;base64,{data}'>"
