"""What the documentation says is what the code does."""

import doctest
import importlib
import importlib.util
import pathlib
import pkgutil
import re

import pytest

import unfog
from unfog.registry import Registry

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(unfog.__path__, "unfog.")
    if not m.name.endswith("__main__")
)


def script():
    spec = importlib.util.spec_from_file_location("include_core", ROOT / "docs" / "include_core.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runnable(text):
    """The ```python fences, those of the core left out; a plain ``` fence is not run."""
    text = re.sub(r"<!-- core: \w+ -->\s*```python\n.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_the_readme_shows_the_core_as_it_runs():
    text = README.read_text(encoding="utf-8")
    assert script().included(text) == text, "run: python docs/include_core.py"


def test_including_twice_changes_nothing():
    include = script()
    text = "".join(f"<!-- core: {name} -->\n```python\nold\n```\n" for name in include.SOURCES)
    once = include.included(text)
    assert "old" not in once
    assert "def learn(" in once
    assert '"""' not in once
    assert include.included(once) == once


def test_the_core_is_at_most_fifteen_logical_lines():
    include = script()
    counts = {name: include.logical(include.region(name)) for name in include.SOURCES}
    assert all(count >= 4 for count in counts.values()), counts
    assert sum(counts.values()) <= 15, counts


def test_logical_lines_are_counted_as_stated():
    code = 'def f(\n    a,\n    b,\n):\n    """Said."""\n    for x in a:\n        if x:\n            b = 1\n    return b\n'
    assert script().logical(code) == 5


def test_the_core_is_what_training_and_sampling_call():
    """The regions hold the very functions that `Model.loss` and `generate` use."""
    from unfog.model import model
    from unfog.sample import loop
    from unfog.tasks import batch, generate

    include = script()
    assert "def learn(" in include.region("learn")
    assert "def sample(" in include.region("follow")
    assert "learn" in model.Model.loss.__code__.co_names
    assert batch.sample is loop.sample
    assert generate.Batch is batch.Batch


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(runnable(README.read_text(encoding="utf-8")))))
def test_examples_in_the_readme_run(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = runnable(README.read_text(encoding="utf-8"))[number]
    exec(compile(code, f"README.md, example {number + 1}", "exec"), {"__name__": "readme"})


def test_the_readme_has_an_example():
    assert runnable(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def registries():
    """name -> the registry and the module it lives in, found in the source and not in a list."""
    found = {}
    for name in MODULES:
        for attribute, value in vars(importlib.import_module(name)).items():
            if isinstance(value, Registry):
                found[attribute] = value
    return found


def test_the_registries_page_has_a_table_for_every_registry():
    page = (ROOT / "docs" / "registries.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^table\((\w+)", page, flags=re.MULTILINE))
    assert shown == set(registries())


@pytest.mark.slow
def test_the_registries_page_has_a_row_for_every_member():
    """Its cells are run here as they are in the build."""
    pytest.importorskip("IPython")
    page = (ROOT / "docs" / "registries.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    space, tables = {}, []
    for cell in cells:
        code = "\n".join(line for line in cell.splitlines() if not line.startswith(":tags:"))
        *_, last = code.strip().splitlines()
        exec(compile(code, "registries.md", "exec"), space)
        if last.startswith(("table(", "Markdown(")):
            tables.append(eval(last, space).data)
    text = "\n".join(tables)
    for family, registry in registries().items():
        for row in registry:
            assert f"| `{row.name}`" in text, (family, row.name)
            assert row.reference == "" or space["plain"](row.reference) in text, row.name
            for alias in row.aliases:
                assert f"`{alias}`" in text, (family, alias)


def test_every_page_is_in_the_contents_and_every_link_leads_somewhere():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = re.search(r"```\{toctree\}\n(.*?)```", index, flags=re.DOTALL)[1].split()
    assert {p.stem for p in PAGES} - {"index"} <= set(listed)
    for page in PAGES:
        for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_names_in_the_docs_are_names_in_the_code():
    """`unfog.a.b` in a page is a module or an attribute of one."""
    for page in [README, *PAGES]:
        for dotted in set(re.findall(r"`(unfog(?:\.\w+)+)`", page.read_text(encoding="utf-8"))):
            value, module = unfog, "unfog"
            for attribute in dotted.split(".")[1:]:
                module += f".{attribute}"
                if module in MODULES:
                    value = importlib.import_module(module)
                else:
                    assert hasattr(value, attribute), f"{page.name}: {dotted}"
                    value = getattr(value, attribute)


def test_paths_in_the_architecture_are_there():
    """A file or folder named in backticks exists, in the repository or in the package."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`((?:[\w-]+/)+(?:[\w-]+\.(?:py|md))?)`", text)):
        homes = [ROOT / name, ROOT / "src" / "unfog" / name]
        assert any(home.exists() for home in homes), name
