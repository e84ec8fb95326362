"""The house keeps its floors: imports only go down, in no circle, and nothing unpickles."""

import ast
import pathlib

import pytest

import unfog

ROOT = pathlib.Path(unfog.__file__).parent
FLOORS = [
    "maths",
    "nets",
    "model",
    "train",
    "sample",
    "guide",
    "kinds",
    "judge",
    "tasks",
    "sklearn",
    "serve",
    "cli",
]
LEAVES = {"errors", "failpoints", "registry", "version"}
FILES = sorted(ROOT.rglob("*.py"))


def module_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def imports_of(path, *, top_only=False):
    """The unfog modules that a file imports; type-checking blocks don't count."""
    tree = ast.parse(path.read_text())
    found = set()

    def visit(node, inside):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names if a.name.startswith("unfog"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unfog"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, False)
    return found


def floor_of(module):
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in LEAVES | {"__main__"}:
        return None
    return FLOORS.index(parts[1])


@pytest.mark.parametrize("path", FILES, ids=[module_of(p) for p in FILES])
def test_imports_only_go_down(path):
    own = floor_of(module_of(path))
    for module in imports_of(path):
        other = floor_of(module)
        if own is None and module_of(path) not in ("unfog", "unfog.__main__"):
            assert module.split(".")[1] in LEAVES, f"a leaf imports {module}"
        elif own is not None and other is not None:
            assert other <= own, f"{module_of(path)} imports {module}, a floor above"


def test_no_circles():
    graph = {module_of(p): imports_of(p, top_only=True) & MODULES for p in FILES}
    done, path = set(), []

    def walk(module):
        if module in path:
            circle = path[path.index(module) :]
            # a package and its members: `from package import registry` inside a member is how a row is entered
            assert len(
                {m.rsplit(".", 1)[0] if m.count(".") > 2 else m for m in circle}
            ) == 1 or any(other.startswith(module + ".") for other in circle), (
                f"circle: {' -> '.join([*circle, module])}"
            )
            return
        if module in done:
            return
        path.append(module)
        for other in sorted(graph.get(module, ())):
            walk(other)
        path.pop()
        done.add(module)

    for module in sorted(graph):
        walk(module)


def test_training_never_imports_sampling():
    for path in (ROOT / "train").rglob("*.py"):
        assert not any(".sample" in module for module in imports_of(path))


def test_nothing_unpickles_and_no_junk_drawers():
    for path in FILES:
        text = path.read_text()
        assert path.stem not in ("utils", "helpers", "common", "misc", "manager")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "dill", "cloudpickle", "joblib"} & set(names), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                assert called != "torch.load", path
                if called in ("np.load", "numpy.load"):
                    assert not any(
                        k.arg == "allow_pickle" and k.value.value for k in node.keywords
                    ), path


def test_files_are_one_idea_long():
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 400, f"{path} is long: is it one idea?"
