"""Start-up costs next to nothing."""

import os
import subprocess
import sys
import time

HEAVY = ["torch", "pandas", "PIL", "sklearn", "matplotlib", "scipy", "pyarrow", "tensorboard"]


def modules_after(code):
    script = f"import sys\n{code}\nprint(' '.join(sorted(m.split('.')[0] for m in sys.modules)))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def best_seconds(arguments, tries=5):
    best = float("inf")
    for _ in range(tries):
        before = os.times()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        after = os.times()
        best = min(
            best,
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system,
        )
    return best


def test_import_unfog_imports_nothing_heavy_and_is_quick():
    assert not modules_after("import unfog") & set(HEAVY)
    start = best_seconds(["-c", "pass"])
    assert best_seconds(["-c", "import unfog"]) - start < 0.3


def test_fit_imports_nothing_that_the_data_does_not_need():
    lazy = {"pandas", "PIL", "sklearn", "matplotlib", "tensorboard"}
    assert not modules_after("import unfog\nunfog.fit\nunfog.load") & lazy


def test_help_answers_without_torch():
    code = "from unfog.cli import run\nrun(['--help'])"
    assert not modules_after(code) & set(HEAVY)
    assert best_seconds(["-m", "unfog", "--help"]) < 0.4


def test_public_names_exist():
    begun = time.monotonic()
    import unfog

    for name in unfog.__all__:
        assert getattr(unfog, name) is not None
    assert time.monotonic() - begun < 60
