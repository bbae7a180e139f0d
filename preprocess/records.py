"""Records: the one line of JSON that every stage reads and writes.

A reader turns each native record of a dataset into an `Outcome`: records, records that a rule
dropped, or a rejection. `encode` is the only door from a record to bytes, and it validates.
"""

import base64
import re
from typing import Any, Final, Literal

import msgspec

from preprocess.exact_json import ENCODER, exact_number

KINDS: Final = ("tool_documentation", "trajectory", "function_call", "code", "text", "web")
"""What a record can be."""

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "agent": ("tool_documentation", "trajectory", "function_call", "web"),
    "code": ("code",),
    "text": ("text",),
}
"""The groups that are mixed in proportion, and the kinds in each."""

LONGEST_SHOWN_BYTES = 1 << 20
"""Rejected records of more than this are shown by their head."""

SHOWN_BYTES = 1 << 16
"""How much of them."""

_ID = re.compile(r"[^/#\s]+/[^\r\n]+#\d+")


class TruncatedInput(Exception):  # noqa: N818 - it names a state of the input
    """A compressed input ends early or is damaged; all before that point was read."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a record comes from."""

    path: str
    """Path relative to the input given, with `/` between its parts."""

    record: int
    """Ordinal of the native record in that file, from 0."""

    url: str | None = None
    """Address of the original, if known."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that can be called."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments, an object."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool by the assistant."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """The call that a tool's turn answers."""

    loss: bool | None = None
    """Whether the turn is trained on; None where the source does not say."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a record directory. The order of the fields is the order of the keys."""

    id: str
    """`<source>/<relative path>#<ordinal>`, unique and stable."""

    text: str
    """What pre-training sees; never empty."""

    kind: str
    source: str
    """The dataset, as `preprocess datasets` lists it."""

    license: str
    """SPDX identifier, or `unknown`."""

    origin: Origin
    tools: tuple[Tool, ...] = ()
    messages: tuple[Message, ...] = ()
    meta: dict[str, Any] = {}
    """What the source says beyond that, unchanged. Values may be `msgspec.Raw`."""


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A native record that cannot be read, kept as it came; of a long one the head."""

    origin: Origin
    reason: str
    raw: bytes

    def encode(self) -> bytes:
        """Return one line of JSON without its newline; `raw` is base64 when it is not UTF-8."""
        line: dict[str, Any] = {"origin": self.origin, "reason": self.reason}
        is_long = len(self.raw) > LONGEST_SHOWN_BYTES
        shown = _head(self.raw) if is_long else self.raw
        try:
            line["raw"] = shown.decode("utf-8")
        except UnicodeDecodeError:
            line["raw"] = base64.b64encode(shown).decode("ascii")
            line["raw_encoding"] = "base64"
        if is_long:
            line["raw_bytes"] = len(self.raw)
        return ENCODER.encode(line)


def _head(raw: bytes) -> bytes:
    """Return the beginning of a long record, cut between characters."""
    head = raw[:SHOWN_BYTES]
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return head[: error.start]
    return head


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The fate of one native record: it gave records, some were dropped, or it was rejected."""

    records: tuple[Record, ...] = ()
    dropped: tuple[str, ...] = ()
    """One reason for each record that a rule dropped."""

    rejection: Rejection | None = None
    repairs: tuple[str, ...] = ()
    """What a reader understood otherwise than it was spelled, one name each time."""

    def __post_init__(self) -> None:
        made = len(self.records) + len(self.dropped)
        if (self.rejection is None) == (made == 0):
            raise ValueError(
                f"a native record gives records or one rejection, got {made} records "
                f"and rejection {self.rejection!r}"
            )


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a native record gave, as lines already: what `encode` makes of an outcome's records."""

    lines: bytes
    """One behind the other, without the last newline."""

    records: int
    """How many they are; never none."""

    text_bytes: int
    """Bytes of their texts in UTF-8."""

    source: str
    kind: str
    license: str

    def outcome(self) -> Outcome:
        """Return the records of the lines."""
        records = tuple([_DECODER.decode(line) for line in self.lines.split(b"\n")])
        return Outcome(records=records)


_DECODER: Final = msgspec.json.Decoder(Record, float_hook=exact_number)


def portable_path(path: str) -> str:
    """Return `path` so that it can stand in an id: no line breaks, valid UTF-8.

    Control characters and bytes that are not UTF-8 (surrogates, as Python reads file names)
    become backslash escapes; every other path is unchanged.
    """
    if path.isascii() and path.isprintable():
        return path
    printable = "".join(_escape(char) if char < " " or char == "\x7f" else char for char in path)
    return escape_surrogates(printable)


def _escape(char: str) -> str:
    return f"\\x{ord(char):02x}"


def escape_surrogates(text: str) -> str:
    r"""Return `text` with lone surrogates as the six characters `\udXXX`.

    Python source can spell strings that no UTF-8 file can hold; their escapes are what the
    author typed.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def record_id(source: str, origin: Origin) -> str:
    """Return the id of the record that `origin` gave, when it gave only one."""
    return f"{source}/{origin.path}#{origin.record}"


def validate(record: Record) -> None:
    """Check what the types cannot.

    Raises:
        ValueError: The id, the kind or the text breaks the format; one line that names the id.
    """
    name = ascii(record.id[:200])
    if not _ID.fullmatch(record.id) or not record.id.startswith(f"{record.source}/"):
        expected = f"{record.source}/<relative path>#<ordinal> on one line"
        raise ValueError(f"record {name}: expected an id of the form {expected}")
    if record.kind not in KINDS:
        raise ValueError(f"record {name}: unknown kind {record.kind!r}, known: {', '.join(KINDS)}")
    if not record.text or record.text.isspace():
        raise ValueError(f"record {name}: text is empty")


def encode(record: Record) -> bytes:
    """Return the record as one line of JSON in UTF-8, without its newline.

    Keys stand in the order of the fields, those of `meta` and of schemas in the order given;
    optional fields without content are left out. Equal records give equal bytes.

    Raises:
        ValueError: `validate` refuses the record, or a string in it holds a lone surrogate,
            which UTF-8 cannot express.
    """
    validate(record)
    try:
        return ENCODER.encode(record)
    except UnicodeEncodeError as error:
        name = ascii(record.id[:200])
        raise ValueError(
            f"record {name}: lone surrogate {error.object[error.start]!a} "
            "cannot be written as UTF-8"
        ) from error
