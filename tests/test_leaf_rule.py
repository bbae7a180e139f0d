"""The leaf rule for each native record by itself: a sum over a dataset would hide one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from leaves import files, long_leaves, missing_leaves, outcomes_of

from preprocess.readers import READERS

if TYPE_CHECKING:
    from pathlib import Path

SHARE = 0.05
"""How much of a record's long strings may be missing."""


@pytest.mark.shared
@pytest.mark.parametrize(
    "dataset",
    ["fireact", "toolalpaca", "toolbench", "stabletoolbench", "lumos", "agent_flan",
     "agentinstruct"],
)  # fmt: skip
def test_each_record_keeps_its_long_strings(dataset: str, shared: Path) -> None:
    reader, root = READERS[dataset], shared / "data/agent" / dataset
    seen = 0
    for file in files(reader, root):
        for ordinal, (value, outcome) in enumerate(outcomes_of(reader, file, root)):
            if outcome.records:
                seen += 1
                lost = missing_leaves(value, outcome.records)
                assert len(lost) <= SHARE * len(long_leaves(value)), f"{file}#{ordinal}: {lost[:3]}"
    assert seen
