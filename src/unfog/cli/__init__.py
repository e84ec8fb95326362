"""The command line: verbs, exit codes, messages; a traceback only for a bug or with --debug."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `unfog`; ends the process with the verb's exit code."""
    try:
        signal.signal(signal.SIGTERM, _terminated)
        code = run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt as error:  # while `run` imports what it needs
        code = _interrupted(error, False)
    for number in (signal.SIGINT, signal.SIGTERM):  # it ends already, and has said why
        signal.signal(number, signal.SIG_IGN)
    if code and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # what is left of a broken process group may abort on the way out, and hide the code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code."""
    from unfog.cli import (  # noqa: F401  (they enter their verbs)
        augmenting,
        averaging,
        distilling,
        doctoring,
        editing,
        filling,
        judging,
        lists,
        measuring,
        tuning,
        verbs,
        watching,
    )
    from unfog.cli.app import app, line, usage
    from unfog.errors import UnfogError, out_of_memory
    from unfog.failpoints import armed

    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    line.set(arguments)
    try:
        armed()
        result = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except usage() as error:
        return _fail(str(error), 2, debug)
    except UnfogError as error:
        return _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt as error:
        return _interrupted(error, debug)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{place}", 5 if error.errno in FULL else 2, debug)
    except Exception as error:
        if out_of_memory(error):
            return _fail("not enough memory; try a smaller --batch", 5, debug)
        traceback.print_exc()
        print("unfog: this is a bug in unfog; please report the lines above", file=sys.stderr)
        return 1
    if isinstance(result, dict):
        print(json.dumps(result, allow_nan=False, ensure_ascii=False))
    return 0


class Terminated(KeyboardInterrupt):
    """SIGTERM, where nothing better was arranged for it than to stop at once."""


def _terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _interrupted(error: KeyboardInterrupt, debug: bool) -> int:
    first = os.environ.get("RANK", "0") == "0"  # of several processes one says it
    said = str(error) or ("stopped" if first else "")
    return _fail(said, 143 if isinstance(error, Terminated) else 130, debug)


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if message:  # else another process of the run has said it
        print(f"unfog: {' '.join(message.split())}", file=sys.stderr)
    return code
