"""What a reader is: a dataset's licence and layout, and the function that reads its files."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from preprocess.readers.lines import HEAD_BYTES, NO_LIMIT
from preprocess.records import Origin, Outcome, Rejection, Written, portable_path

if TYPE_CHECKING:
    # What makes records of drafts loads templates and checks; who only lists readers has no need.
    from preprocess.readers.draft import Draft, Dropped
    from preprocess.readers.native import Native

type Options = Mapping[str, str]
"""What a user set for a reader; keys are those of `Reader.options`."""

type Convert = Callable[[Native], Iterable[Draft | Dropped]]
"""Says what a native record means; raises `Unreadable` where that is not certain."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One dataset that `preprocess ingest` can read.

    Reading is a pure function of a file's bytes, its relative path, the options, and (for
    installed packages) the metadata that lies beside it: never of clock, locale or hash seed.
    """

    name: str
    kind: str
    license: str
    """SPDX identifier of the dataset, `unknown`, or `per file`."""

    published: str
    """Size that its publishers state, in words."""

    layout: str
    """What the input directory looks like, in one line."""

    unit: str
    """What one native record is."""

    accepts: Callable[[PurePosixPath], bool]
    """Whether a file found in a directory, named relative to it, is one of the dataset's."""

    convert: Convert | None = None
    """What a native record of its JSON files means; None where it has files of another kind."""

    read_file: Callable[[Path, str, Options, int], Iterator[Outcome | Written]] | None = None
    """Streams the outcomes of one file, where `convert` does not say all; see `outcomes`."""

    has_common_form: bool = False
    """Whether nearly all native records look so alike that the extension makes lines of them; the
    others, and whoever asks for records, go the way of `convert`, which gives the same."""

    terms: str = ""
    """What the licence, or the lack of one, asks of a user; one line."""

    released: str = ""
    """When its publishers released what is read: YYYY-MM, or a span of such."""

    url: str = ""
    """Where its publishers have it."""

    is_benchmark: bool = False
    """Whether it is for decontamination and evaluation alone: no record of it is ever trained."""

    streams: bool = False
    """Whether it holds one native record of a file at a time, and heeds the limit itself."""

    options: Options = field(default_factory=dict)
    """Names of the options that it takes, each with its default."""

    def read(
        self,
        path: Path,
        relative: str,
        options: Options | None = None,
        limit_bytes: int = NO_LIMIT,
    ) -> Iterator[Outcome]:
        """Yield the outcome of each native record of a file, in the file's order.

        Args:
            path: The file.
            relative: Its path relative to the input given, `/` between the parts.
            options: Values for some of `self.options`.
            limit_bytes: A native record of more than this is rejected, not read.

        Raises:
            ValueError: An option that this reader does not take.
            TruncatedInput: A compressed file ends early, after all that could be read.
            OSError: The file cannot be opened or read. Bad content never raises.
        """
        found = self.outcomes(path, relative, options, limit_bytes)
        return (each.outcome() if isinstance(each, Written) else each for each in found)

    def outcomes(
        self,
        path: Path,
        relative: str,
        options: Options | None = None,
        limit_bytes: int = NO_LIMIT,
    ) -> Iterator[Outcome | Written]:
        """Yield the same as `read`, but records that are lines already as what they are."""
        given = options or {}
        unknown = [name for name in given if name not in self.options]
        if unknown:
            known = ", ".join(self.options) or "none"
            raise ValueError(f"dataset {self.name}: no option {unknown[0]!r}, it takes: {known}")
        if self.read_file is None:
            from preprocess.readers.native import read_common, read_json

            assert self.convert is not None, self.name
            read = read_common if self.has_common_form else read_json
            return read(self, path, relative, limit_bytes, self.convert)
        if not self.streams and path.stat().st_size > limit_bytes:
            return iter((over_memory(path, relative),))
        return self.read_file(path, relative, {**self.options, **given}, limit_bytes)


def over_memory(path: Path, relative: str) -> Outcome:
    """Return the rejection of a file that is too large to hold, with its beginning."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    origin = Origin(path=portable_path(relative), record=0)
    return Outcome(rejection=Rejection(origin=origin, reason="over_memory", raw=head))
