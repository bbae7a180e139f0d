"""Families of hash functions for MinHash signatures: bias, spread, recall, speed; and our own.

    python -m benchmarks.minhash_families --corpus FILE.jsonl.zst

Without a corpus the text is this machine's own Python library, made into records first. The
families are judged by a Rust program (`rust_ext/benches/minhash_families.rs`) on sets of real
shingles; what our own signatures do to texts is seen from here, through the extension.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.corpora import within
from benchmarks.source import own_records, texts_of
from preprocess import _rust_ext

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = Path(__file__).parent / "results"
NGRAM_SIZE, BANDS, ROWS = 5, 14, 8
PAIRS, SEEDS = 4_000, 24
OURS = "#c2410c"


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """What our signatures do to pairs of texts, all seeds together."""

    similarity: NDArray[np.float64]
    """True Jaccard similarity of each pair."""

    estimate: NDArray[np.float64]
    """Share of equal slots: `(seeds, pairs)`."""

    is_candidate: NDArray[np.bool_]
    """Whether the pair shares a band: `(seeds, pairs)`."""

    @property
    def theory(self) -> NDArray[np.float64]:
        """The chance that each pair shares a band."""
        return collision_probability(self.similarity)

    def summary(self) -> dict[str, float]:
        """Return bias, spread and recall, each beside what theory says."""
        alike = self.similarity >= 0.8
        error = self.estimate - self.similarity
        expected = self.similarity * (1 - self.similarity) / (BANDS * ROWS)
        return {
            "bias": float(error.mean()),
            "bias_standard_error": float(error.mean(axis=1).std(ddof=1) / np.sqrt(len(error))),
            "mse_over_theory": float((error**2).mean() / expected.mean()),
            "pairs_of_0.8": int(alike.sum()),
            "recall_of_0.8": float(self.is_candidate[:, alike].mean()),
            "theory_of_0.8": float(self.theory[alike].mean()),
        }


def collision_probability(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance that pairs of these similarities share a band."""
    chance: NDArray[np.float64] = 1 - (1 - similarity**ROWS) ** BANDS
    return chance


def main(
    corpus: Annotated[Path | None, typer.Option(help="A .jsonl.zst file.")] = None,
    results: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
) -> None:
    """Judge all families, and our signatures of texts."""
    with tempfile.TemporaryDirectory() as scratch:
        source = corpus or own_records(Path(scratch))
        judged = judge_families(source.resolve())
        texts = judge_texts(within(texts_of(source), 20_000_000))
    summary = texts.summary()
    _show(judged, summary)
    name = corpus.name if corpus else "Python's own library"
    content = {**machine.describe(), "corpus": name, **judged, "texts": summary}
    results.mkdir(exist_ok=True)
    (results / "minhash_families.json").write_text(json.dumps(content, indent=2) + "\n")
    _draw(content, texts, results / "minhash_families.png")


def judge_families(source: Path) -> dict[str, Any]:
    """Build and run the Rust program."""
    command = ["cargo", "bench", "--quiet", "--bench", "minhash_families", "--", str(source)]
    done = subprocess.run(command, cwd=machine.ROOT, check=True, stdout=subprocess.PIPE, text=True)
    judged: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return judged


def judge_texts(texts: list[str]) -> Texts:
    """Sign pairs of texts, one made from the other by exchanging a run of its words."""
    pairs = _pairs([text.split() for text in texts], Random(1))
    flat = [text for pair in pairs for text in pair]
    sets = _rust_ext.shingle_hashes(flat, ngram_size=NGRAM_SIZE)
    similarity = np.array([_jaccard(sets[at], sets[at + 1]) for at in range(0, len(sets), 2)])
    estimates, candidates = [], []
    for seed in range(SEEDS):
        slots = _rust_ext.minhash_signatures(
            flat, ngram_size=NGRAM_SIZE, num_permutations=BANDS * ROWS, seed=seed
        )
        equal = slots[0::2] == slots[1::2]
        estimates.append(equal.mean(axis=1))
        candidates.append(equal.reshape(-1, BANDS, ROWS).all(axis=2).any(axis=1))
    return Texts(
        similarity=similarity,
        estimate=np.array(estimates),
        is_candidate=np.array(candidates),
    )


def _pairs(texts: list[list[str]], random: Random) -> list[tuple[str, str]]:
    """Make pairs of all similarities of texts of 20 words and more."""
    usable = [words[:400] for words in texts if len(words) >= 20]
    pairs = []
    for _ in range(PAIRS):
        words, other = random.choice(usable), random.choice(usable)
        length = int(len(words) * random.random() ** 2)
        start = random.randrange(len(words) - length + 1)
        edited = words[:start] + other[:length] + words[start + length :]
        pairs.append((" ".join(words), " ".join(edited)))
    return pairs


def _jaccard(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> float:
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / max(1, len(left) + len(right) - common)


def _show(judged: dict[str, Any], texts: dict[str, float]) -> None:
    sizes = [f"MSE, {size}" for size in judged["sizes"]]
    table = Table("family", "ns/shingle", "bias / 1e-4", *sizes, "recall, least")
    for family in judged["families"]:
        table.add_row(
            family["name"],
            f"{family['nanoseconds_per_shingle']:.2f}",
            f"{family['bias'] * 1e4:+.1f} ± {family['bias_standard_error'] * 1e4:.1f}",
            *(f"{ratio:.3f}" for ratio in family["mse_over_theory"]),
            f"{min(family['recall_over_theory']):.4f}",
        )
    Console().print(table)
    Console().print({name: round(value, 5) for name, value in texts.items()})


def _draw(content: dict[str, Any], texts: Texts, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
    _draw_speed(axes[0, 0], content["families"])
    _draw_spread(axes[0, 1], content["families"], content["sizes"])
    _draw_bias(axes[1, 0], content["families"])
    _draw_candidates(axes[1, 1], texts)
    for each in axes.flat:
        each.spines[["top", "right"]].set_visible(False)
    named = ("processor", "instructions", "corpus", "commit", "date")
    figure.supxlabel(", ".join(str(content[name]) for name in named), fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _colors(families: list[dict[str, Any]]) -> list[str]:
    return [OURS if number == 0 else "#6b7280" for number in range(len(families))]


def _draw_speed(axes: Axes, families: list[dict[str, Any]]) -> None:
    names = [family["name"] for family in families]
    times = [family["nanoseconds_per_shingle"] for family in families]
    bars = axes.barh(names, times, color=_colors(families))
    axes.bar_label(bars, [f"{each:.1f}" for each in times], fontsize=8, padding=2)
    axes.set_xscale("log")
    axes.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title("ns of CPU a shingle, 112 slots (log scale)", loc="left", fontsize=11)


def _draw_spread(axes: Axes, families: list[dict[str, Any]], sizes: list[str]) -> None:
    from matplotlib import colormaps

    colors = colormaps["tab20"]
    places = range(len(sizes))
    for number, family in enumerate(families):
        style = {"color": OURS, "linewidth": 3, "zorder": 3} if number == 0 else {}
        shown: dict[str, Any] = {"color": colors(number), "linewidth": 1.2, **style}
        axes.plot(places, family["mse_over_theory"], "o-", label=family["name"], ms=4, **shown)
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xticks(places, sizes)
    axes.set_xlabel("shingles of the union")
    axes.legend(fontsize=7, ncols=2, frameon=False)
    axes.set_title("mean squared error / J(1-J)/112 (log scale)", loc="left", fontsize=11)


def _draw_bias(axes: Axes, families: list[dict[str, Any]]) -> None:
    for number, (family, color) in enumerate(zip(families, _colors(families), strict=True)):
        error = 2 * family["bias_standard_error"]
        axes.errorbar(family["bias"], number, xerr=error, fmt="o", color=color, capsize=3)
    axes.set_yticks(range(len(families)), [family["name"] for family in families])
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    axes.set_title("mean error of the estimate, ± 2 standard errors", loc="left", fontsize=11)


def _draw_candidates(axes: Axes, texts: Texts) -> None:
    line = np.linspace(0, 1, 200)
    axes.plot(line, collision_probability(line), color="black", label="1 - (1 - J^8)^14")
    edges = np.linspace(0, 1, 26)
    which = np.clip(np.digitize(texts.similarity, edges) - 1, 0, len(edges) - 2)
    for each in range(len(edges) - 1):
        chosen = which == each
        if chosen.sum() >= 10:
            found = texts.is_candidate[:, chosen].mean()
            axes.plot(texts.similarity[chosen].mean(), found, "o", color=OURS, ms=5)
    axes.plot([], [], "o", color=OURS, label=f"pairs of texts, {SEEDS} seeds")
    axes.axvline(0.8, color="#9ca3af", linewidth=0.8, linestyle=":")
    axes.set_xlabel("true Jaccard similarity J")
    axes.legend(fontsize=9, frameon=False)
    axes.set_title("share of pairs that share a band", loc="left", fontsize=11)


if __name__ == "__main__":
    typer.run(main)
