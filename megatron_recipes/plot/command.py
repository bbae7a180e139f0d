"""What `megatron-recipes plot` does: runs in, figures and a page out."""

from collections.abc import Callable, Sequence
from pathlib import Path

from megatron_recipes.plot.figures import draw_all
from megatron_recipes.plot.page import page
from megatron_recipes.plot.runs import X_AXES, read_runs
from megatron_recipes.whole_files import write_whole

PAGE = "index.html"


def plot_runs(paths: Sequence[Path], output: Path, axis: str, tell: Callable[[str], None]) -> Path:
    """Write the figures and the page of some runs; return the page's path.

    Args:
        paths: Checkpoint directories, or their `metrics.jsonl`.
        output: A directory; it is made.
        axis: What the figures are drawn over: `step` or `tokens`.
        tell: Prints what was left out.

    Raises:
        OSError: A run has no metrics, or the directory cannot be written.
        ValueError: A run has no step, or the axis is none.
    """
    if axis not in X_AXES:
        raise ValueError(f"--x takes one of {', '.join(X_AXES)}, not {axis!r}")
    runs = read_runs(paths)
    for note in (note for run in runs for note in run.notes):
        tell(note)
    pictures = draw_all(runs, axis)
    output.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        (output / picture.name).write_bytes(picture.png)
    write_whole(output / PAGE, page(runs, pictures))
    return output / PAGE
