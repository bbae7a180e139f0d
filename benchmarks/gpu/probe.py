"""What this machine is and what it lacks, found in a process of its own: JSON on standard output.

    python -m benchmarks.gpu.probe cuda|cpu MODULE...

A part that asked PyTorch itself would hold a share of the GPU's memory while others measure.
"""

from __future__ import annotations

import json
import os
import sys

from benchmarks.gpu.about import describe
from benchmarks.gpu.needs import problems


def main() -> None:
    device, *modules = sys.argv[1:]
    # What libraries print while they are imported is no answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    found = problems(modules)
    about = describe("cpu" if "torch" in found else device)
    with os.fdopen(answer, "w") as file:
        json.dump({"problems": found, "about": about}, file)


if __name__ == "__main__":
    main()
