"""Names of files that hold JSON or JSON Lines, compressed or not."""

import re
from pathlib import PurePosixPath

_NAME = re.compile(r"[^.].*\.(json|jsonl|ndjson)(\.gz|\.zst)?", re.IGNORECASE)


def is_json(relative: PurePosixPath) -> bool:
    """Return whether a file's name says that it holds JSON, whatever the case of its letters."""
    return _NAME.fullmatch(relative.name) is not None
