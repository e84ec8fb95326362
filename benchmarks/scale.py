"""What memory and time do as data grows: rows, images, samples, nets, processes.

    python benchmarks/scale.py rows --table adult.csv --counts 100000,1000000,10000000
    python benchmarks/scale.py epochs --table adult.csv --counts 500000,1000000,2000000
    python benchmarks/scale.py samples --table adult.csv --counts 100000,1000000
    python benchmarks/scale.py images --pictures fashion.npz --counts 50000,200000
    python benchmarks/scale.py memory --table adult.csv
    python benchmarks/scale.py processes --table adult.csv    # on a machine that does nothing else

Every run is a process of its own, `unfog` from the command line; its peak is the most that the
system says it held, mapped pages of files included. `make-table` and `make-images` only write the
data (--counts, into --home). One table is printed, and JSON written with --out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from held import Held
from scale_data import blobs, make_images, make_table

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
PARTS = ("rows", "epochs", "samples", "images", "memory", "processes")
ROWS = [100_000, 1_000_000, 2_000_000, 10_000_000]
EPOCHS = [500_000, 1_000_000, 2_000_000]
IMAGES = [50_000, 100_000, 200_000]


Row = dict[str, Any]


def told(found: list[Row], row: Row) -> None:
    """A row, said as soon as it is there."""
    found.append(row)
    print(json.dumps(row), file=sys.stderr, flush=True)


def run(command: list[str]) -> dict[str, Any]:
    """Run `unfog` and wait: seconds, CPU-seconds, and the most bytes that it held."""
    return together([command])[0]


def together(commands: list[list[str]], threads: int = 1) -> list[dict[str, Any]]:
    """Run `unfog` several times at once and wait for all."""
    begun = time.monotonic()
    with contextlib.ExitStack() as files:
        running = []
        for command in commands:
            said = files.enter_context(tempfile.TemporaryFile("w+"))
            child = subprocess.Popen(
                [sys.executable, "-m", "unfog", *command],
                stderr=said,
                env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
            )
            running.append((command, child, said, Held(child)))
        return [ended(*one, begun) for one in running]


def ended(
    command: list[str], child: subprocess.Popen[Any], said: Any, held: Held, begun: float
) -> dict[str, Any]:
    """What one of them took."""
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    said.seek(0)
    text = said.read()
    if child.returncode:
        sys.exit(f"unfog {' '.join(command)} ended with {child.returncode}:\n{text[-2000:]}")
    return {
        "seconds": round(time.monotonic() - begun, 2),
        "cpu": round(used.ru_utime + used.ru_stime, 2),
        "peak": held.ended(used),
    }


def plan_of(folder: pathlib.Path) -> dict[str, Any]:
    """What a run planned: its config.json, with the settings of training beside the facts."""
    config = json.loads((folder / "config.json").read_text())
    return {**config["plan"], "train": config["train"], "count": config["data"]["count"]}


def rows(home: pathlib.Path, source: pathlib.Path, counts: list[int], budget: str) -> list[Row]:
    """Fit tables of so many rows for the same time, with the same net and batch."""
    found = []
    for count in counts:
        data, out = home / f"rows-{count}.parquet", home / f"run-{count}"
        make_table(source, data, count)
        fit = ["fit", str(data), "-o", str(out), "--budget", budget, "--batch", "128"]
        seen = run([*fit, "--set", "net.width=256", "--set", "net.depth=4"])
        plan = plan_of(out)
        step = plan["seconds_per_step"]
        told(
            found,
            {
                "rows": count,
                "file_mb": round(data.stat().st_size / 1e6, 1),
                "peak_mb": round(seen["peak"] / 1e6),
                "said_mb": round(plan["peak_bytes"] / 1e6),
                "reading_s": plan["seconds"]["reading"],
                "step_ms": round(1000 * step, 2),
                "epoch_s": round(step * 0.8 * count / 128, 1),
                "seconds": seen["seconds"],
            },
        )
        data.unlink()
    return found


def epochs(home: pathlib.Path, source: pathlib.Path, counts: list[int], updates: int) -> list[Row]:
    """CPU-time of an epoch of so many rows from disk: updates of the same net, taken in turns."""
    from statistics import median

    from unfog.tasks.assemble import build_model, build_objective
    from unfog.tasks.learn import batches_of
    from unfog.tasks.prepare import prepare
    from unfog.train.loop import train
    from unfog.train.optim import adamw
    from unfog.train.schedule import Constant, Horizon

    loops, found = [], []
    for count in counts:
        data = home / f"epochs-{count}.parquet"
        make_table(source, data, count)
        prepared = prepare(
            data, kind=None, given=[], recipe="flow", batch=128, lr=None, reading={}, seed=0,
            device="cpu", settings={"net.width": 128, "net.depth": 2},
        )  # fmt: skip
        model, batches = build_model(prepared.config), batches_of(prepared)
        objective, plain = build_objective(prepared.config), Constant(warmup=0.0)
        steps = Horizon(10**9)
        loop = train(model, batches, adamw(model, lr=1e-3), objective, plain, horizon=steps, seed=0)
        loops.append((prepared.count, loop, []))
    for number in range(updates):
        for _, loop, taken in loops:
            begun = time.process_time()
            next(loop)
            if number > 2:
                taken.append(time.process_time() - begun)
    first = 0.0
    for count, _, taken in loops:
        epoch = median(taken) * count / 128
        first = first or epoch / count
        row = {"rows": count, "update_cpu_ms": round(1000 * median(taken), 2)}
        times = round(epoch / (first * loops[0][0]), 2)
        told(found, {**row, "epoch_cpu_s": round(epoch, 1), "times": times})
    return found


def samples(home: pathlib.Path, source: pathlib.Path, counts: list[int]) -> list[Row]:
    """Draw so many rows to Parquet from a small net."""
    import pyarrow.compute as pc
    from pyarrow import parquet

    data, out = home / "train.parquet", home / "run"
    make_table(source, data, 300_000)
    small = ["--set", "net.width=64", "--set", "net.depth=1"]
    run(["fit", str(data), "-o", str(out), "--steps", "60", *small])
    found = []
    for count in counts:
        made = home / f"made-{count}.parquet"
        seen = run(["sample", str(out), "-n", str(count), "--steps", "5", "-o", str(made)])
        keys = pc.min_max(parquet.read_table(made, columns=["row_id"])["row_id"]).as_py()
        told(
            found,
            {
                "rows": count,
                "file_mb": round(made.stat().st_size / 1e6, 1),
                "peak_mb": round(seen["peak"] / 1e6),
                "cpu_s": seen["cpu"],
                "rows_a_cpu_s": round(count / seen["cpu"]),
                "keys_unique": keys["max"] - keys["min"] + 1 == count,
            },
        )
        made.unlink()
    return found


def images(home: pathlib.Path, source: pathlib.Path, counts: list[int], budget: str) -> list[Row]:
    """Fit folders of so many small PNGs."""
    found = []
    for count in counts:
        data, out = home / f"images-{count}", home / f"run-images-{count}"
        data.mkdir()
        make_images(source, data, count)
        seen = run(["fit", str(data), "-o", str(out), "--budget", budget])
        plan = plan_of(out)
        told(
            found,
            {
                "images": count,
                "pixels_mb": round(count * 1024 / 1e6, 1),
                "peak_mb": round(seen["peak"] / 1e6),
                "said_mb": round(plan["peak_bytes"] / 1e6),
                "reading_s": plan["seconds"]["reading"],
                "first_update_s": round(
                    plan["seconds"]["reading"] + plan["seconds"]["planning"], 1
                ),
                "updates": plan["train"]["steps"],
            },
        )
        shutil.rmtree(data)
    return found


def memory(home: pathlib.Path, source: pathlib.Path) -> list[Row]:
    """What arithmetic foresees before any update, what was held; and a limit that is kept."""
    table, pictures = home / "memory.parquet", blobs(home)
    make_table(source, table, 20_000)
    grid = ["--set", "space=identity", "--batch", "64"]
    cases: dict[str, list[str]] = {
        "table 256": [str(table), "--set", "net.width=256", "--batch", "4096"],
        "table 768": [str(table), "--set", "net.width=768", "--batch", "4096"],
        "unet 16": [str(pictures), "--set", "net=unet", "--set", "net.width=16", *grid],
        "unet 48": [str(pictures), "--set", "net=unet", "--set", "net.width=48", *grid],
        "dit 128": [str(pictures), "--set", "net=dit", "--set", "net.width=128", *grid],
        "dit 256": [str(pictures), "--set", "net=dit", "--set", "net.width=256", *grid],
    }
    found = []
    for name, case in cases.items():
        patch = ["--set", "net.patch=4"] if name.startswith("dit") else []
        out, steps = home / name.replace(" ", "-"), ["--steps", "6"]
        seen = run(["fit", *case, *patch, *steps, "-o", str(out)])
        plan = plan_of(out)
        tight = 1e6 * round(0.85e-6 * seen["peak"])
        limited = run(
            ["fit", *case, *patch, *steps, "-o", f"{out}-less", "--memory", f"{tight / 1e6:.0f}MB"]
        )
        less = plan_of(pathlib.Path(f"{out}-less"))["train"]
        told(
            found,
            {
                "net": name,
                "said_mb": round(plan["peak_bytes"] / 1e6),
                "peak_mb": round(seen["peak"] / 1e6),
                "ratio": round(plan["peak_bytes"] / seen["peak"], 2),
                "limit_mb": round(tight / 1e6),
                "kept_mb": round(limited["peak"] / 1e6),
                "at_once": less["micro"] or less["batch"],
                "recomputed": less["recompute"],
            },
        )
    return found


def processes(home: pathlib.Path, source: pathlib.Path, updates: int) -> list[Row]:
    """Items a second of one thread, of two threads, of two processes, and of two runs that share
    nothing, which is the most that the machine gives; by the log, from the first quarter of the
    updates on.
    """
    table, pictures = home / "processes.parquet", blobs(home)
    make_table(source, table, 20_000)
    cases = {
        "table": (updates, [str(table), "--batch", "512"]),
        "table, batches of 2048": (max(8, updates // 4), [str(table), "--batch", "2048"]),
        "unet": (  # of a second an update
            max(8, updates // 8),
            [str(pictures), "--set", "net=unet", "--set", "net.width=32", "--set", "space=identity",
             "--batch", "64"],
        ),
    }  # fmt: skip
    ways = {
        "1 thread": (["--set", "train.threads=1"], 1, 1),
        "2 threads": (["--set", "train.threads=2"], 2, 1),
        "2 processes": (["--set", "train.threads=1", "--nproc", "2"], 1, 1),
        "2 runs at once": (["--set", "train.threads=1"], 1, 2),
    }
    found = []
    for name, (many, case) in cases.items():
        alone = 0.0
        for way, (more, threads, runs) in ways.items():
            command = ["fit", *case, *more, "--steps", str(many), "--overwrite"]
            command += ["--set", "train.looks=0", "--set", f"train.log_every={max(1, many // 16)}"]
            outs = [home / f"run-processes-{number}" for number in range(runs)]
            together([[*command, "-o", str(out)] for out in outs], threads)
            rate = sum(int(case[-1]) * pace(out) for out in outs)
            alone = alone or rate
            row = {"net": name, "how": way, "items_a_s": round(rate, 1)}
            told(found, {**row, "times": round(rate / alone, 2)})
    return found


def pace(run: pathlib.Path) -> float:
    """Updates a second, from the first quarter of the updates on."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = lines[-1]
    first = next(line for line in lines if line["step"] >= last["step"] / 4)
    return float((last["step"] - first["step"]) / (last["seconds"] - first["seconds"]))


def show(found: list[Row]) -> None:
    """One table."""
    heads = list(found[0])
    texts = [
        [f"{row[head]:,}" if type(row[head]) is int else str(row[head]) for head in heads]
        for row in found
    ]
    wide = [max(len(head), *(len(line[i]) for line in texts)) for i, head in enumerate(heads)]
    for line in [heads, *texts]:
        print("  ".join(text.rjust(width) for text, width in zip(line, wide, strict=True)))


def main(argv: list[str] | None = None) -> list[Row]:
    """Run one part; what it measured, also printed and, with --out, written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "part",
        choices=[*PARTS, "make-table", "make-images"],
    )
    parser.add_argument("--table", type=pathlib.Path, help="a real table, .csv")
    parser.add_argument("--pictures", type=pathlib.Path, help="real pictures, .npz")
    parser.add_argument("--counts", default="", help="sizes, by commas")
    parser.add_argument("--budget", default="60s", help="of every fit")
    parser.add_argument(
        "--updates", type=int, default=400, help="of processes, the longer run, and of epochs"
    )
    parser.add_argument("--home", type=pathlib.Path, help="where data and runs lie; else temporary")
    parser.add_argument("--out", type=pathlib.Path, help="JSON")
    asked = parser.parse_args(argv)
    counts = [int(text) for text in asked.counts.split(",") if text]
    with tempfile.TemporaryDirectory(prefix="scale-", dir=asked.home or spilling()) as folder:
        home = pathlib.Path(folder)
        if asked.part.startswith("make"):
            target = asked.home or pathlib.Path()
            if asked.part == "make-table":
                make_table(asked.table, target / "rows.parquet", counts[0])
            else:
                make_images(asked.pictures, target, counts[0])
            return []
        parts = {
            "rows": lambda: rows(home, asked.table, counts or ROWS, asked.budget),
            "epochs": lambda: epochs(home, asked.table, counts or EPOCHS, asked.updates),
            "samples": lambda: samples(home, asked.table, counts or ROWS[:2]),
            "images": lambda: images(home, asked.pictures, counts or IMAGES, asked.budget),
            "memory": lambda: memory(home, asked.table),
            "processes": lambda: processes(home, asked.table, asked.updates),
        }
        found = parts[asked.part]()
    show(found)
    if asked.out is not None:
        about = {
            "part": asked.part,
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "rows": found,
        }
        asked.out.write_text(json.dumps(about, indent=1))
    return found


def spilling() -> str:
    """A folder on disk: /tmp is memory on many systems."""
    return os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else "/tmp")


if __name__ == "__main__":
    main()
