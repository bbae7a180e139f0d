"""What `dedup` counts as a duplicate, and how it stores what is left."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from preprocess import _rust_ext
from preprocess.record_shards import SHARD_TEXT_BYTES

FORMATS = ("jsonl.zst", "jsonl")
MOST_DECIMALS = 18
"""Of a threshold: similarities are compared with it in whole numbers of 64 bits."""
SCOPES = ("near", "exact", "url", "line", "paragraph", "substring")


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupConfig:
    """What counts as a near-duplicate."""

    threshold: float = 0.8
    """Least true Jaccard similarity with a survivor at which a record is dropped."""

    keep: tuple[str, ...] = ("first",)
    """Which of records that are alike stays: `source:A,B`, then one of `first`, `longest`,
    `highest:FIELD` and `lowest:FIELD`; either alone will do. The first of the input breaks ties.
    FIELD is a number at the top of a record or in its `meta`; a record without one comes last."""

    verify: bool = True
    """Confirm by true similarity; False: single link, whatever shares a band falls."""

    ngram_size: int = 5
    """Words per shingle."""

    num_bands: int = 14
    """Chances for a pair to collide. More bands find more, and cost more."""

    rows_per_band: int = 8
    """Signature slots that must agree for a band to collide."""

    seed: int = 1
    """Chooses the permutations. Measured on web text, the bands of 1 find what the mean of many
    seeds does; any one finds up to 1 % more or fewer of the pairs at 0.8."""

    scope: str = "near"
    """What is compared, one of `SCOPES`: see `dedup_scopes`."""

    min_piece_chars: int = 40
    """Fewest characters of the normal form of a line or paragraph that is cut."""

    min_substring_bytes: int = 200
    """Fewest bytes of a repeated run that is cut."""

    max_cluster: int = 10_000
    """Most near-duplicates that fall to one survivor; of further ones another one survives."""

    format: str = "jsonl.zst"
    """How survivors are stored: `jsonl.zst` or `jsonl`."""

    compression_level: int = 3
    """Of zstd, where it compresses."""

    shard_text_bytes: int = SHARD_TEXT_BYTES
    """Loose files are cut into shards of this much text; shards stay shards."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold ({self.threshold}) must be above 0 and at most 1")
        if 10**MOST_DECIMALS % Fraction(str(self.threshold)).denominator:
            raise ValueError(
                f"threshold ({self.threshold}) must have at most {MOST_DECIMALS} decimals"
            )
        if not self.keep:
            raise ValueError("expected a rule of keep, got none; first is the default")
        _rust_ext.check_keep(list(self.keep))
        for name in ("ngram_size", "num_bands", "rows_per_band"):
            value = getattr(self, name)
            if not 1 <= value <= 1_000:
                raise ValueError(f"{name} ({value}) must be between 1 and 1000")
        if self.scope not in SCOPES:
            raise ValueError(f"scope ({self.scope}) must be one of {', '.join(SCOPES)}")
        if not 1 <= self.min_piece_chars <= 1 << 20:
            raise ValueError(f"min_piece_chars ({self.min_piece_chars}) must be between 1 and 2^20")
        if not 16 <= self.min_substring_bytes <= 1 << 20:
            raise ValueError(
                f"min_substring_bytes ({self.min_substring_bytes}) must be between 16 and 2^20"
            )
        if not 1 <= self.max_cluster < 1 << 31:
            raise ValueError(f"max_cluster ({self.max_cluster}) must be between 1 and 2^31 - 1")
        if self.format not in FORMATS:
            raise ValueError(f"format ({self.format}) must be one of {', '.join(FORMATS)}")
        if not 1 <= self.compression_level <= 22:
            raise ValueError(
                f"compression_level ({self.compression_level}) must be between 1 and 22"
            )
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed ({self.seed}) must be between 0 and 2^64 - 1")

    @property
    def num_permutations(self) -> int:
        """Slots of a signature."""
        return self.num_bands * self.rows_per_band

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What the extension calls the shape: ngram_size, num_bands, rows_per_band, seed.

        Without bands, only equal records are found.
        """
        num_bands = self.num_bands if self.scope == "near" else 0
        return self.ngram_size, num_bands, self.rows_per_band, self.seed

    @property
    def key(self) -> str:
        """What makes two records equal: their `text`, its `normal` form, or their `url`."""
        return {"exact": "normal", "url": "url"}.get(self.scope, "text")

    def collision_probability(self, jaccard: float) -> float:
        """Return the chance that a pair of this similarity shares a band.

        Source: Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.2.

        >>> round(DedupConfig().collision_probability(0.8), 3)
        0.924
        """
        return float(1.0 - (1.0 - jaccard**self.rows_per_band) ** self.num_bands)
