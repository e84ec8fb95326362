"""A registry owns the names of one family: choices, aliases, references, and the error for a wrong
name.

Command-line choices, error messages and the tables of the docs are generated from registries, and a
configuration file names members only by registry name: no class path is ever read from a file.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from unfog.errors import ArgumentError, UnknownName

T = TypeVar("T")


@dataclass(frozen=True)
class Row(Generic[T]):
    """One member of a family: its name, how to make it, and where it comes from."""

    name: str
    make: T
    summary: str
    reference: str = ""
    aliases: tuple[str, ...] = ()


class Registry(Generic[T]):
    """Names of one family, for example all solvers."""

    def __init__(self, family: str):
        self.family = family
        self.rows: dict[str, Row[T]] = {}
        self._names: dict[str, str] = {}

    def add(
        self, name: str, *, reference: str = "", aliases: tuple[str, ...] = (), summary: str = ""
    ) -> Callable[[T], T]:
        """Enter a class or function under `name`; its docstring's first paragraph is the
        summary.
        """

        def enter(make: T) -> T:
            paragraph = (make.__doc__ or "").strip().split("\n\n")[0]
            said = summary or " ".join(paragraph.split())
            self.rows[name] = Row(name, make, said, reference, aliases)
            for known in (name, *aliases):
                if known in self._names:
                    raise ValueError(f"{self.family} {known!r} is registered twice")
                self._names[known] = name
            return make

        return enter

    def __iter__(self) -> Iterator[Row[T]]:
        return iter(self.rows.values())

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def names(self) -> list[str]:
        """The primary names, in the order of registration."""
        return list(self.rows)

    def __getitem__(self, name: str) -> T:
        """The member called `name` (or one of its aliases). Raises UnknownName with the nearest
        name.
        """
        if name in self._names:
            return self.rows[self._names[name]].make
        raise UnknownName(unknown(self.family, name, self._names, self.names()))

    def make(self, name: str, **options: Any) -> Any:
        """Build the member `name` with these options. Raises ArgumentError for an option it does
        not have.
        """
        maker: Any = self[name]
        if dataclasses.is_dataclass(maker):
            known = [field.name for field in dataclasses.fields(maker) if field.init]
            for option in options:
                if option not in known:
                    raise UnknownName(unknown(f"option of {self.family} {name!r}", option, known))
        try:
            return maker(**options)
        except TypeError as error:
            raise ArgumentError(f"{self.family} {name!r}: {error}") from error

    def describe(self, member: Any) -> dict[str, Any]:
        """The configuration `{"name": …, option: …}` from which `build` makes `member` again."""
        for row in self:
            if row.make is type(member):
                options = {
                    field.name: getattr(member, field.name)
                    for field in dataclasses.fields(member)
                    if field.init
                }
                return {"name": row.name, **options}
        raise UnknownName(f"{type(member).__name__} is not a registered {self.family}")

    def build(self, config: dict[str, Any]) -> Any:
        """The inverse of `describe`."""
        options = dict(config)
        if "name" not in options:
            raise ArgumentError(f"a {self.family} needs a name; got {config!r}")
        return self.make(options.pop("name"), **options)


def unknown(family: str, name: object, known: Any, listed: list[str] | None = None) -> str:
    """The sentence for a wrong name: what is known, and the nearest known name."""
    known = [str(k) for k in known]
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {family} {name!r}; known: {', '.join(listed or known)}{hint}"
