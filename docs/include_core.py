"""Write the core's lines into README.md, from the source that runs: `python docs/include_core.py`.

In the source a region lies between `# [core: NAME]` and `# [/core]`; in README.md its place is the
fence after `<!-- core: NAME -->`. Docstrings are left out. Running it twice changes nothing.
"""

from __future__ import annotations

import ast
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCES = {
    "learn": ROOT / "src/unfog/model/model.py",
    "follow": ROOT / "src/unfog/sample/loop.py",
}
DOCUMENTED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


def region(name: str) -> str:
    """The code of region `name`, dedented. Raises ValueError if it is not there just once."""
    text = SOURCES[name].read_text(encoding="utf-8")
    found = re.findall(rf"# \[core: {name}\]\n(.*?)\n# \[/core\]", text, flags=re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{SOURCES[name]} has {len(found)} regions [core: {name}]; it needs one")
    return textwrap.dedent(found[0]).strip("\n") + "\n"


def bare(code: str) -> str:
    """The code without docstrings, else untouched."""
    lines = code.splitlines()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            said = node.body[0]
            for number in range(said.lineno - 1, said.end_lineno or said.lineno):
                lines[number] = "\0"
    return "\n".join(line for line in lines if line != "\0").strip("\n") + "\n"


def logical(code: str) -> int:
    """Statements: a signature, a header (for, if, with) and a simple statement count 1 each."""
    return sum(isinstance(node, ast.stmt) for node in ast.walk(ast.parse(bare(code))))


def included(text: str) -> str:
    """The README's text with its core fences filled. Raises ValueError if a place is missing."""
    for name in SOURCES:
        place = re.compile(rf"(<!-- core: {name} -->\n+```python\n).*?(```)", flags=re.DOTALL)
        text, count = place.subn(lambda m, n=name: m[1] + bare(region(n)) + m[2], text)
        if count != 1:
            raise ValueError(f"README.md has {count} fences for core: {name}; it needs one")
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(included(readme.read_text(encoding="utf-8")), encoding="utf-8")
