"""The command line: verbs, exit codes, messages; a traceback only for a bug or with --debug."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `unfog`; ends the process with the verb's exit code."""
    code = run(list(sys.argv[1:] if arguments is None else arguments))
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
        doctoring,
        filling,
        judging,
        lists,
        verbs,
    )
    from unfog.cli.app import app, line, usage
    from unfog.errors import UnfogError

    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    line.set(arguments)
    try:
        result = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except usage() as error:
        return _fail(str(error), 2, debug)
    except UnfogError as error:
        return _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        return _fail("stopped", 130, debug)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except MemoryError:
        return _fail("not enough memory; try a smaller --batch", 5, debug)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{place}", 5 if error.errno in FULL else 2, debug)
    except Exception:
        traceback.print_exc()
        print("unfog: this is a bug in unfog; please report the lines above", file=sys.stderr)
        return 1
    if isinstance(result, dict):
        print(json.dumps(result, allow_nan=False, ensure_ascii=False))
    return 0


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if message:  # else another process of the run has said it
        print(f"unfog: {' '.join(message.split())}", file=sys.stderr)
    return code
