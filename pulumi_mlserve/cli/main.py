"""The `mlserve` command: lets the named function answer what was typed, turns failures into one line and a status."""

from __future__ import annotations

import os
import pkgutil
import sys
from typing import TYPE_CHECKING

from pulumi_mlserve.cli.arguments import parse
from pulumi_mlserve.core.problems import InvalidInputError, OperationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAILED = 1
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 failed with the reason on stderr, 2 wrong usage."""
    options = parse(arguments)
    try:
        status: int = pkgutil.resolve_name(f"{__package__}.{options.answer}")(options)
        sys.stdout.flush()
    except InvalidInputError as error:
        for problem in error.problems:
            _complain(str(problem))
        return _FAILED
    except OperationError as error:
        _complain(str(error))
        return _FAILED
    except BrokenPipeError:
        # The reader of our output went away (`mlserve logs x | head`): nothing more to say, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _complain(text: str) -> None:
    print(f"mlserve: {text}", file=sys.stderr)  # noqa: T201 - this is the command's voice


if __name__ == "__main__":
    sys.exit(main())
