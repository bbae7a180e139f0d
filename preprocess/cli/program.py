"""Running the command line: an error becomes one line and an exit status."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Any, NoReturn

from preprocess.cli.commands import app
from preprocess.cli.options import State
from preprocess.errors import Misuse, UserError, describe_os_error
from preprocess.records import TruncatedInput

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command line; the exit status is 0 done, 1 failed, 2 misused."""
    stage = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    name = f"preprocess {stage}".rstrip()
    try:
        status = app(standalone_mode=False)
    except Misuse as error:
        fail(name, str(error), 2)
    except BrokenPipeError:
        # Whoever read our output has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(name, describe_os_error(error), 1)
    except (UserError, ValueError, TruncatedInput) as error:
        fail(name, str(error), 1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            State.verbose = True
            fail(name, f"failed in a way that is a bug of ours: {error!r}; please report it", 1)
        # Click's usage errors, or those of typer's own copy of click.
        usage(name, error)
    if status == INTERRUPTED:  # what typer makes of a KeyboardInterrupt
        fail(name, "interrupted; run the same command again to go on", INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def usage(name: str, error: Any) -> None:
    """End with status 2: the help where nothing was asked for, else one line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    options = getattr(getattr(error, "param", None), "opts", None)
    message = error.format_message().rstrip(".")
    where = f"{options[0]}: " if options and options[0] not in message else ""
    if message.startswith("No such command"):
        name = "preprocess"
    fail(name, f"{where}{message}; see `{name} --help`", 2)


def fail(name: str, message: str, status: int) -> NoReturn:
    """End with one line, and the traceback if it was asked for."""
    if State.verbose:
        traceback.print_exc()
    print(f"{name}: {visible(message)}", file=sys.stderr)
    sys.exit(status)


def visible(message: str) -> str:
    r"""Return a message as one line in which nothing moves, colours or hides what a user reads.

    Messages quote ids, sources and names of files, in which anything may stand.

    >>> visible("id \x1b[8mx\n twice")
    'id \\x1b[8mx twice'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in " ".join(message.split())
    )
