"""Sphinx configuration: MyST notebooks, executed when built."""

import os
import pathlib
import sys

SOURCE = str(pathlib.Path(__file__).resolve().parents[1] / "src")
sys.path.insert(0, SOURCE)
# the kernels are processes of their own: they get the same package, and one thread each
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from unfog.version import __version__  # noqa: E402

project = "unfog"
author = "the unfog founders"
release = __version__
extensions = ["myst_nb"]
html_theme = "furo"
html_title = f"unfog {__version__}"
nb_execution_mode = "cache"
nb_render_markdown_format = "myst"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "jupyter_execute"]
suppress_warnings = ["mystnb.unknown_mime_type"]
