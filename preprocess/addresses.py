"""Inputs that are not on this machine: what lies at an address that fsspec knows.

`s3://`, `hf://`, `https://`, `memory://`, and files inside of archives (`zip://a.jsonl::x.zip`).
What is listed here is fetched when it is read (`fetch.py`); of what lies on this machine after
all (`file://`) the path is taken.
"""

from __future__ import annotations

import glob
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
_WEB = ("http", "https")
_BLOCK_BYTES = 4 << 20


class Place:
    """A file or directory at an address; its methods raise `UserError` alone."""

    def __init__(self, address: str) -> None:
        self.address = address
        with _Explained(address):
            from fsspec.core import url_to_fs

            self.files, self.path = url_to_fs(address)
        protocol = self.files.protocol
        self.protocol: str = protocol if isinstance(protocol, str) else protocol[0]

    @property
    def name(self) -> str:
        """The last part of its path, without the query of a web address."""
        path = re.sub(r"[?#].*", "", self.path) if self.protocol in _WEB else self.path
        return PurePosixPath(path).name

    @property
    def local(self) -> Path | None:
        """Where it lies, if that is on this machine."""
        return Path(self.path) if self.protocol in ("file", "local") else None

    def matches(self) -> list[Place]:
        """Return what a pattern stands for, in the order of the bytes of its paths."""
        # In a web address a question mark begins the query.
        magic = self.path.replace("?", "") if self.protocol in _WEB else self.path
        if not glob.has_magic(magic):
            return [self]
        with _Explained(self.address):
            found = self.files.glob(self.path)
        if not found:
            raise UserError(f"{self.address}: expected files that match, found none; check it")
        return [self._at(path) for path in sorted(found, key=_bytes)]

    def is_directory(self) -> bool:
        """Return whether other files lie below it."""
        with _Explained(self.address):
            return bool(self.files.info(self.path)["type"] == "directory")

    def size(self) -> int:
        """Return the stored size of a file."""
        with _Explained(self.address):
            size = self.files.info(self.path)["size"]
        if size is None:
            raise UserError(
                f"{self.address}: expected a file whose size the server tells, it does not; fetch "
                "it yourself and give the file"
            )
        return int(size)

    def below(self) -> Iterator[tuple[str, Place]]:
        """Yield the files below it by their relative paths, in the order of their bytes."""
        with _Explained(self.address):
            found = self.files.find(self.path)
        base = self.path.rstrip("/") + "/"
        named = {path.removeprefix(base).lstrip("/"): path for path in found}
        for relative in sorted(named, key=_bytes):
            if not any(part.startswith(".") for part in PurePosixPath(relative).parts[:-1]):
                yield relative, self._at(named[relative])

    def read(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return bytes of the file, all of them by default."""
        with _Explained(self.address):
            content: bytes = self.files.cat_file(self.path, start=start, end=end)
        return content

    def beside(self, name: str) -> Place:
        """Return what has this name in the directory."""
        return self._at(f"{self.path.rstrip('/')}/{name}")

    def exists(self) -> bool:
        """Return whether anything is there."""
        with _Explained(self.address):
            return bool(self.files.exists(self.path))

    def fetch(self, target: Path) -> None:
        """Copy the file to this machine."""
        with (
            _Explained(self.address),
            self.files.open(self.path, "rb") as source,
            target.open("wb") as copy,
        ):
            shutil.copyfileobj(source, copy, _BLOCK_BYTES)

    def _at(self, path: str) -> Place:
        other = object.__new__(Place)
        other.files, other.protocol, other.path = self.files, self.protocol, path
        # An archive's address ends with where the archive lies.
        inner, chain, outer = self.address.partition("::")
        whole = path if "://" in path else f"{inner.partition('://')[0]}://{path}"
        other.address = f"{whole}{chain}{outer}"
        return other


def is_address(given: str) -> bool:
    """Return whether an input names a place for fsspec, rather than a path."""
    return _ADDRESS.match(given) is not None and not Path(given).exists()


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


class _Explained:
    """Makes one line of whatever a protocol's package raises."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, UserError):
            return
        raise UserError(f"{self._address}: {_explanation(error)}") from error


def _explanation(error: Exception) -> str:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    match error:
        case ImportError():
            return f"expected the package that reads such addresses ({said}); install it"
        case FileNotFoundError() | NotADirectoryError() | IsADirectoryError() | KeyError():
            return "expected a file or a directory, found nothing there; check the address"
        case PermissionError():
            return f"expected to be allowed to read it, but {said}; check your credentials"
        case ValueError() if "Protocol not known" in said:
            return "expected an address that fsspec knows (s3://, hf://, https://); check it"
        case _:
            return f"expected to read it, but {type(error).__name__}: {said}"
