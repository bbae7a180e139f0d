"""One peer in a process of its own: `python -m benchmarks.duplicates.worker`, the job as JSON.

The answer is the last line on stdout; `failed` says why there is none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.duplicates.peers import PEERS


def main() -> None:
    job = json.load(sys.stdin)
    answer = {}
    try:
        PEERS[job["peer"]](Path(job["source"]), Path(job["output"]))
    except (ImportError, ValueError, RuntimeError, AttributeError, OSError) as error:
        answer["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
