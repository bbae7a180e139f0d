"""The contract of the compiled module; checked against the build by stubtest.

Calls of more than a few milliseconds release the interpreter, call `progress(records, bytes)`
every 100 ms, and end with KeyboardInterrupt after Ctrl-C. Arguments that can never work raise
ValueError, files the matching OSError, damaged data CorruptDataError.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import final

import numpy as np
from numpy.typing import NDArray

type _Path = str | PathLike[str]
type _Progress = Callable[[int, int], object] | None
type _Asked = tuple[str | None, str | None, str | None]
type _Render = Callable[
    [Sequence[_Asked]], Sequence[tuple[list[tuple[str, bool, bool]], int] | str]
]

__all__ = [
    "ChatTemplate",
    "CommonForm",
    "CorruptDataError",
    "NativeRecords",
    "RecordLines",
    "Tokenizer",
    "TokenizerError",
    "__version__",
    "audit_dataset",
    "band_ranges",
    "band_records",
    "chat_template_names",
    "check_keep",
    "check_substring_memory",
    "compared_text",
    "connect_records",
    "connect_summary",
    "conversation_fields",
    "count_lines",
    "cut_losses",
    "cut_pieces",
    "cut_substrings",
    "datasketch_signatures",
    "drop_duplicates",
    "find_document",
    "find_records",
    "gather_cuts",
    "json_fault",
    "merge_datasets",
    "minhash_signatures",
    "piece_parts",
    "read_document",
    "read_line",
    "rebuild_index",
    "scan_records",
    "shingle_hashes",
    "sign_pieces",
    "sign_records",
    "tokenize_unit",
    "write_clusters",
    "write_cuts",
]

__version__: str

class CorruptDataError(ValueError):
    """A file is not what it claims to be."""

class TokenizerError(ValueError):
    """A tokenizer file is not understood."""

@final
class ChatTemplate:
    """A chat template by name, for one tokenizer and the roles that are trained. Immutable."""

    def __new__(
        cls, name: str, tokenizer: Tokenizer, *, train_roles: Sequence[str]
    ) -> ChatTemplate:
        """Look the template's control tokens up.

        Raises:
            ValueError: There is no such template or role, or the tokenizer lacks a control token.
        """

    def render(self, line: bytes) -> str | tuple[list[tuple[str, bool, bool]], int]:
        """Return a record's spans (text, special, trained), and how often data spells a token.

        A special span without text keeps its neighbours from sharing a token. A string is the
        reason why the record has no rendering.

        Raises:
            ValueError: The line is no record.
        """

@final
class Tokenizer:
    """A tokenizer as its file defines it. Immutable, to be shared by threads."""

    @staticmethod
    def load(path: _Path) -> Tokenizer:
        """Load a tokenizer.json, a tiktoken rank file or a SentencePiece model.

        A directory stands for the tokenizer in it. Tables are kept in the user's cache directory
        for the next load of the same content; `$HEPHAESTUS_FORGE_CACHE` names another, empty none.

        Raises:
            OSError: The file cannot be read.
            TokenizerError: It is not understood, or would give other ids than its reference.
        """

    @property
    def vocab_size(self) -> int:
        """One more than the highest id, added tokens included."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the loaded file, in hexadecimal."""

    @property
    def file(self) -> PathLike[str]:
        """The loaded file."""

    @property
    def kind(self) -> str:
        """Model and pre-tokenizer in a few words."""

    @property
    def fallback_reason(self) -> str | None:
        """Why the tokenizers library does the work, None if it does not."""

    @property
    def added_tokens(self) -> list[tuple[str, bool]]:
        """Tokens that texts are cut at, sorted, and for each whether it is special."""

    @property
    def special_tokens(self) -> list[tuple[str, int]]:
        """Special tokens and their ids, by id."""

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token as its file spells it, None without one."""

    def id_to_token(self, id: int) -> str | None:
        """Return a token as its file spells it, None for an id without one."""

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Return the ids of one text, without what a post-processor would add.

        Args:
            text: Any text.
            parse_special: Whether special tokens spelled in the text become their ids.
        """

    def encode_batch(
        self, texts: Sequence[str], *, parse_special: bool = False, workers: int = 1
    ) -> list[NDArray[np.uint32]]:
        """Return the ids of each text, on as many threads as `workers` says."""

    def encode_spans(
        self, spans: Sequence[tuple[str, bool, bool]]
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Return the ids of a record in spans, and a mask: 1 where the loss counts.

        The ids are those of the rendered string, text between two special tokens encoded as one
        piece; but special tokens spelled in text stay text. A token of text counts if one byte of
        it or more lies in a trained span.

        Args:
            spans: (text, special, trained); a special one is one token, named by its content.

        Raises:
            ValueError: A special span names no special or added token.
        """

    def encode_flat(
        self, texts: Sequence[str], *, parse_special: bool = False, workers: int = 1
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Return the ids of all texts back to back, and where those of each text begin.

        The offsets are one more than the texts: text `i` has `ids[offsets[i]:offsets[i + 1]]`.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD.

        Raises:
            ValueError: An id is no token.
        """

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of ids."""

@final
class NativeRecords:
    """The native records of a JSON file, in batches; an iterator.

    A record is its bytes, the reason it is rejected for (None: it is not), and whether it holds a
    number that a double may not hold as it is spelled. The file may be an array, lines, values
    one behind the other or one value, plain, `.gz` or `.zst`. Of a record of more than
    `limit_bytes` the head alone is held and given. A batch may be empty.
    """

    def __new__(cls, path: _Path, *, limit_bytes: int) -> NativeRecords: ...
    def __iter__(self) -> NativeRecords: ...
    def __next__(self) -> list[tuple[bytes, str | None, bool]]: ...
    @property
    def damage(self) -> str | None:
        """Where the file broke off, if it did; complete behind the last batch."""

@final
class CommonForm:
    """What makes lines of the native records of one dataset, where they are of its commonest form.

    Raises:
        ValueError: No such form is known of the dataset.
    """

    def __new__(cls, dataset: str, *, license: str) -> CommonForm: ...
    def lines(self, raw: bytes, *, path: str, record: int) -> tuple[bytes, int, int] | None:
        """Return the lines of a native record; None if it is not of the commonest form.

        Args:
            raw: Its bytes, which `NativeRecords` found nothing wrong with.
            path: Its file's path as it stands in ids.
            record: Its ordinal in the file.

        Returns:
            The lines, one behind the other without the last newline, how many they are, and the
            bytes of the texts in them. Calls in them are valid.
        """

def chat_template_names() -> list[str]:
    """Return the names of the chat templates."""

def conversation_fields(line: bytes) -> tuple[str | None, str | None, str | None]:
    """Return `messages`, `tools` and `meta` of a record as its line spells them, None for null.

    Raises:
        ValueError: The line is no record.
    """

def json_fault(data: bytes, /) -> str | None:
    """Why bytes are not one value of JSON as strictly as a native record has to be; None: they are.

    The words are those that native records are rejected for, `duplicate_key` for example.
    """

@final
class RecordLines:
    """The lines of a record file, whatever its format, in batches; an iterator.

    Each is its bytes, whether it was over the limit and this is its head, and whether the file
    broke off in it. A record of a `.json` file that is spread over lines is put into one; rows of
    Parquet and texts of WET are the lines that they stand for.
    """

    def __new__(cls, path: _Path, *, limit_bytes: int) -> RecordLines: ...
    def __iter__(self) -> RecordLines: ...
    def __next__(self) -> list[tuple[bytes, bool, bool]]: ...
    @property
    def damage(self) -> str | None:
        """Where the file broke off, if it did; complete behind the last batch."""

def tokenize_unit(
    tokenizer: Tokenizer,
    files: Sequence[tuple[_Path, str]],
    *,
    journal: _Path,
    unit: int,
    text_field: str,
    spans_field: str | None = None,
    chat_template: ChatTemplate | None = None,
    render: _Render | None = None,
    kinds: Sequence[str],
    eod_id: int | None,
    holdout: float,
    shard_text_bytes: int | None,
    workers: int,
    memory_bytes: int,
    progress: _Progress = None,
) -> str:
    """Tokenize the files of a unit into shards in `journal`; return its summary as JSON.

    With `spans_field` records are lists of spans, with `chat_template` or `render` their messages
    are rendered to such, and each shard has a mask beside it. `render` gets `messages`, `tools` and
    `meta` of several records as JSON, and returns for each what `ChatTemplate.render` does.
    """

def audit_dataset(
    prefix: _Path,
    *,
    eod_id: int | None = None,
    vocab_size: int | None = None,
    progress: _Progress = None,
) -> str:
    """Prove a dataset sound, in memory that does not grow.

    `.bin` is read once, and only with an `eod_id` or a `vocab_size`. Returns JSON with `sequences`,
    `documents`, `tokens`, `empty_documents`, `misplaced_eod`, `first_misplaced` (a document or
    None), `dtype`, `bin_bytes` and `bin_xxh3` (None if it was not read).
    """

def read_document(prefix: _Path, document: int) -> list[int]:
    """Return the elements of one document."""

def merge_datasets(
    parts: Sequence[tuple[_Path, str, str, str | None]],
    output: _Path,
    *,
    eod_id: int | None,
    vocab_size: int,
    progress: _Progress = None,
) -> str:
    """Join datasets, each given by prefix and the xxh3 of its `.bin`, `.idx` and `.ids.zst`.

    Datasets without ids, which masks are, have None for the last.

    `output` is a private prefix: the files appear there as they are written; none is left by an
    error. The copy is read back once, which proves it by the hashes, the end-of-document token
    and the vocabulary.

    Returns JSON with `documents`, `tokens`, `moved_by`, and of `bin`, `idx` and `ids`, where
    there are ids, `bytes` and `xxh3`.
    """

def rebuild_index(prefix: _Path, lengths: NDArray[np.uint32], *, vocab_size: int) -> None:
    """Write `PREFIX.idx` for a `.bin` whose documents have these lengths, one sequence each."""

def count_lines(path: _Path, *, progress: _Progress = None) -> tuple[int, str | None]:
    """Return the lines that are not blank of a file that may be compressed, and its damage."""

def scan_records(path: _Path, *, text_field: str = "text", progress: _Progress = None) -> str:
    """Read a record file to its end.

    Returns JSON with `records`, `text_bytes`, `bytes`, `xxh3` and `problem` (None if sound).
    """

def read_line(path: _Path, record: int) -> bytes:
    """Return the line of a record file with this number, blank lines not counted."""

def find_records(
    path: _Path, *, relative: str, ids: Sequence[str], progress: _Progress = None
) -> tuple[list[tuple[str, int, bytes]], str | None]:
    """Return the first record with each id that a file holds, and the damage met on the way.

    A record is its id, its number and its line. A line without an id goes by
    `<relative>#<number>`. Reading ends with the last id found.
    """

def find_document(path: _Path, id: str) -> int | None:
    """Return the number of the document with this id, given the `.ids.zst` of its dataset."""

def compared_text(line: bytes) -> str:
    """Return what `dedup` compares of a record, given its line: its own content or its text.

    Raises:
        ValueError: The line is no record that stages read.
    """

def minhash_signatures(
    texts: Sequence[str], *, ngram_size: int, num_permutations: int, seed: int
) -> NDArray[np.uint32]:
    """Return signatures, `(len(texts), num_permutations)`; a text without words: all 2^32 - 1."""

def shingle_hashes(texts: Sequence[str], *, ngram_size: int) -> list[NDArray[np.uint64]]:
    """Return the set of shingles of each text as hashes, ascending."""

def datasketch_signatures(
    hashes: Sequence[NDArray[np.uint64]],
    multipliers: NDArray[np.uint64],
    offsets: NDArray[np.uint64],
    *,
    scheme: str,
) -> NDArray[np.uint32]:
    """Return signatures by `datasketch.MinHash.permutations`, `(len(hashes), len(multipliers))`.

    `hashes` are what its `hashfunc` makes of the shingles, `scheme` is `affine32` or `legacy`.
    """

def sign_records(
    files: Sequence[tuple[_Path, str]],
    *,
    shape: tuple[int, int, int, int],
    key: str = "text",
    keep: Sequence[str],
    fingerprint: int,
    output: _Path,
    rejected: _Path,
    workers: int,
    memory_bytes: int,
    progress: _Progress = None,
) -> None:
    """Sign the records of a unit; `shape` is ngram_size, num_bands, rows_per_band, seed.

    The words go beside `output`, a file with the suffix `.words`. Records are equal by their `key`:
    text, normal or url. Without bands, nothing else is compared. `keep` are the rules that say
    which of records that are alike stays.
    """

def check_keep(keep: Sequence[str], /) -> None:
    """Refuse rules that do not say which of records that are alike stays.

    Raises:
        ValueError: A rule is none, or one too many.
    """

def band_ranges(
    signatures: Sequence[_Path], *, shape: tuple[int, int, int, int], fingerprint: int
) -> int:
    """Return the number of ranges that each band, the texts and the ids are divided into."""

def band_records(
    signatures: Sequence[_Path],
    *,
    parts: Sequence[tuple[int, _Path]],
    shape: tuple[int, int, int, int],
    fingerprint: int,
    workers: int,
    memory_bytes: int,
) -> None:
    """Find the records that share a band, a text or, which is refused, an id.

    Of each part, its number and its output: the ranges of each band, then of the texts, then of
    the ids.
    """

def connect_records(
    signatures: Sequence[_Path],
    *,
    shape: tuple[int, int, int, int],
    key: str = "text",
    keep: Sequence[str],
    threshold: float | None,
    max_cluster: int,
    fingerprint: int,
    buckets: Sequence[_Path],
    texts: Sequence[_Path],
    output: _Path,
    workers: int,
    memory_bytes: int,
    progress: _Progress = None,
) -> None:
    """Decide which records fall: those of `texts` share a text, those of `buckets` a band.

    Without a threshold by single link. At most `max_cluster` near-duplicates fall to a survivor.
    `keep` are the rules that `sign_records` had.
    """

def connect_summary(verdicts: _Path, *, fingerprint: int) -> str:
    """Return what `connect_records` found as JSON.

    `sources` has of each source its `records` and how many of them fall, `exact` and `near`. Beside
    it stand `giant_buckets` (of more than 10,000 records), `largest_bucket`, `full_clusters` (those
    of `max_cluster` near-duplicates) and `with_keep_number`, the records with a number in the field
    of `keep`.
    """

def write_clusters(
    signatures: Sequence[_Path],
    *,
    verdicts: _Path,
    fingerprint: int,
    output: _Path,
    memory_bytes: int,
) -> None:
    """Write `clusters.parquet`.

    Columns: `record`, `cluster` and `survivor` (ids), `kind` (survivor, exact or near), `estimated`
    and `jaccard`, which is missing where it was not computed.
    """

def drop_duplicates(
    files: Sequence[tuple[_Path, str]],
    *,
    unit: int,
    fingerprint: int,
    signatures: Sequence[_Path],
    verdicts: _Path,
    cuts: _Path | None = None,
    journal: _Path,
    shard_text_bytes: int | None,
    format: str,
    compression_level: int,
    workers: int,
    memory_bytes: int,
    progress: _Progress = None,
) -> str:
    """Write the survivors of a unit into shards in `journal`; return the summary as JSON.

    With `cuts`, without the parts of their texts that are named there.
    """

def sign_pieces(
    files: Sequence[tuple[_Path, str]],
    *,
    grain: str,
    min_chars: int,
    fingerprint: int,
    signatures: _Path,
    output: _Path,
    workers: int,
    memory_bytes: int,
    progress: _Progress = None,
) -> None:
    """List the pieces of a signed unit's texts; `grain` is line or paragraph."""

def piece_parts(pieces: Sequence[_Path], *, fingerprint: int) -> int:
    """Return the number of parts in which equal pieces are found."""

def cut_pieces(
    pieces: Sequence[_Path],
    *,
    part: int,
    num_parts: int,
    fingerprint: int,
    output: _Path,
    memory_bytes: int,
) -> None:
    """Write what the equal pieces of one part ask to be cut."""

def gather_cuts(
    parts: Sequence[_Path], *, verdicts: _Path, fingerprint: int, output: _Path
) -> None:
    """Write the cuts of all parts as one file, those of records that fall left out."""

def check_substring_memory(*, text_bytes: int, records: int, memory_bytes: int) -> None:
    """Refuse texts that take more memory than there is with `ValueError`."""

def cut_substrings(
    units: Sequence[Sequence[tuple[_Path, str]]],
    *,
    min_bytes: int,
    fingerprint: int,
    signatures: Sequence[_Path],
    verdicts: _Path,
    output: _Path,
    workers: int,
    memory_bytes: int,
    progress: _Progress = None,
) -> None:
    """Write the cuts that repeats of `min_bytes` and more in the texts of all units ask for."""

def cut_losses(cuts: _Path, *, signatures: Sequence[_Path], fingerprint: int) -> str:
    """Return as JSON what each source of agent data loses to a file of cuts.

    Of each it has the number of its `records`, their `text_bytes`, and its `cut_bytes` of these.
    """

def write_cuts(
    cuts: _Path,
    *,
    signatures: Sequence[_Path],
    fingerprint: int,
    output: _Path,
    memory_bytes: int,
) -> None:
    """Write `cuts.parquet`: `record`, `start`, `end`, `survivor`, `survivor_start`."""
