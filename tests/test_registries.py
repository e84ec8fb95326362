"""The registries own the names: one meaning per name, a sentence and a source for every row."""

import importlib
import pkgutil
import re

import pytest

import unfog
from unfog.errors import UnknownName
from unfog.registry import Registry


def found():
    """Every registry in the package, by family."""
    families = {}
    for info in pkgutil.walk_packages(unfog.__path__, "unfog."):
        if info.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, Registry):
                assert families.setdefault(value.family, value) is value, (
                    f"two registries of {value.family}"
                )
    return families


FAMILIES = found()


def test_the_command_line_lists_them_all():
    from unfog.cli.lists import REGISTRIES

    listed = [getattr(importlib.import_module(module), name) for name, module in REGISTRIES.items()]
    assert {id(registry) for registry in listed} == {id(registry) for registry in FAMILIES.values()}


@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_unique_plain_and_described(family):
    rows = list(FAMILIES[family])
    names = [name for row in rows for name in (row.name, *row.aliases)]
    assert rows
    assert len(names) == len(set(names))
    for row in rows:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", row.name), row.name
        assert row.summary.endswith(".") or len(row.summary) > 10
        assert "\n" not in row.summary
        assert all(FAMILIES[family][alias] is row.make for alias in row.aliases)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_name_is_told_the_nearest(family):
    registry = FAMILIES[family]
    name = registry.names()[0]
    with pytest.raises(UnknownName) as caught:
        registry[name + "q"]
    said = str(caught.value)
    assert said.startswith(f"unknown {family} '{name}q'; known: {', '.join(registry.names())}")
    assert "did you mean" in said


def test_a_name_is_taken_once():
    registry = Registry("colour")
    registry.add("red", aliases=("rouge",), summary="like blood")(object())
    for name, aliases in (("red", ()), ("rouge", ()), ("scarlet", ("red",))):
        with pytest.raises(ValueError, match="registered twice"):
            registry.add(name, aliases=aliases, summary="again")(object())
    assert "red" in registry
