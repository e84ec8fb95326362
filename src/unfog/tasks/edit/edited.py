"""What an edit gives back."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import ArgumentError


@dataclass(frozen=True)
class Edited:
    """Edited items, at the sizes and in the type of the items that were given.

    Attributes:
        items: N raw arrays.     names: N file names without suffix.     columns: name -> N values.
        kind, origin: how to give the user's type back.
        facts: what was measured of the edit, for `--json`.
    """

    items: list[np.ndarray]
    names: list[str]
    kind: str
    columns: dict[str, list[Any]] = field(default_factory=dict)
    origin: dict[str, Any] = field(repr=False, default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def raw(self) -> np.ndarray:
        """(N, …) in the data's own dtype. Raises ArgumentError for items of several sizes."""
        if len({one.shape for one in self.items}) > 1:
            raise ArgumentError("these items have several sizes; take .items, one array each")
        return np.stack(self.items)

    @property
    def data(self) -> Any:
        """The items in the user's own type."""
        from unfog.kinds import kinds

        if self.origin.get("type") in ("folder", "pil") and self.origin.get("form"):
            from unfog.kinds.image.look import to_pil

            return [to_pil(one) for one in self.items]
        return kinds[self.kind].give_back(self.raw, self.origin)

    def save(self, out: str | pathlib.Path, *, overwrite: bool = False) -> pathlib.Path:
        """Write a folder of PNGs, an .npz or .npy; a single image also as `.png`.

        Raises: ArgumentError where `out` is there and `overwrite` is not given.
        """
        from unfog.kinds import kinds
        from unfog.kinds.image.look import to_pil
        from unfog.kinds.write import whole

        out = pathlib.Path(out)
        if out.suffix.lower() == ".png" and self.kind == "image":
            if len(self.items) != 1:
                raise ArgumentError(f"{out} holds one image, and these are {len(self.items)}")
            with whole(out, folder=False, overwrite=overwrite) as path:
                to_pil(self.items[0]).save(path, format="PNG")
            return out
        filed = out.suffix.lower() in (".npz", ".npy")
        files = self.kind == "image" and not filed
        columns = {} if files or out.suffix.lower() == ".npy" else self.columns
        return kinds[self.kind].save(
            self.items if files else self.raw,
            out,
            columns=columns,
            names=self.names if files else None,
            origin=self.origin,
            overwrite=overwrite,
        )

    def look(self, path: str | pathlib.Path | None = None) -> Any:
        """A matplotlib figure of the items, written to `path` if given."""
        from unfog.kinds import kinds

        return kinds[self.kind].look(self.raw, None, path)


def named(names: list[str] | None, count: int, draws: int, word: str = "") -> list[str]:
    """Names of `draws` results of each of `count` items, unlike one another."""
    stems = [f"{i:05d}" for i in range(count)]
    if names is not None:
        found = [pathlib.Path(one).stem for one in names]
        stems = found if len(set(found)) == count else [f"{s}-{n}" for s, n in zip(stems, found)]
    if draws == 1:
        return stems
    return [f"{stem}-{word}{draw:02d}" for stem in stems for draw in range(draws)]
