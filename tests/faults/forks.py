# ruff: noqa: F401
"""Runs `unfog` command lines in forks of one process that has imported everything.

Each is a real process with its own signals, exit code and death, and starts in a few milliseconds.
Reads one JSON object a line: {"start": arguments, "env": …, "said": file} -> its process id;
{"wait": process id} -> its exit code, negative for a signal.
"""

import json
import os
import signal
import sys


def child(job):
    out = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(job["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from unfog.cli import main

    main(job["start"])


def serve():
    import matplotlib.pyplot
    import scipy.stats
    import torch
    import torch._dynamo
    import torch.utils.tensorboard

    import unfog.cli.augmenting
    import unfog.cli.filling
    import unfog.cli.judging
    import unfog.cli.lists
    import unfog.cli.verbs
    import unfog.kinds
    import unfog.tasks.evaluate
    import unfog.tasks.fit
    import unfog.tasks.load
    import unfog.tasks.shards

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            child(job)
        print(pid, flush=True)


if __name__ == "__main__":
    serve()
