"""Where a chat template stands: by name, in a tokenizer's directory, or in a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from preprocess import _rust_ext
from preprocess.errors import UserError

CONFIG: Final = "tokenizer_config.json"
FILES: Final = ("chat_template.jinja", "chat_template.json", CONFIG)
"""Where a directory may have its template, the first one first, as `transformers` looks for it."""

SPECIAL: Final = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip
"""The names by which a template asks for tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A template: its text, or only its name where it is one of ours."""

    name: str
    text: str | None = None
    """In Jinja."""
    with_tools: str | None = None
    """In Jinja, for records with tools, where that is another one."""
    variables: dict[str, str] | None = None
    """`bos_token` and its like."""

    @property
    def sha256(self) -> str | None:
        """What a rendering depends on, hashed; None for a template of ours."""
        if self.text is None:
            return None
        content = [self.text, self.with_tools, sorted((self.variables or {}).items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def knows(self, token: str) -> bool:
        """Return whether a template in Jinja spells a token, or asks for it by name."""
        text = f"{self.text or ''}{self.with_tools or ''}"
        names = [name for name, value in (self.variables or {}).items() if value == token]
        return token in text or any(name in text for name in names)


def find_source(given: str, tokenizer: Path) -> Source:
    """Return the template that `--chat-template` names.

    Args:
        given: A name, a tokenizer's directory or one of its files, or a file with a template.
        tokenizer: The tokenizer that encodes; a bare template asks the files beside it for the
            tokens that it knows by name only.

    Raises:
        UserError: There is none.
    """
    names = _rust_ext.chat_template_names()
    if given in names:
        return Source(name=given)
    path = Path(given)
    if not path.exists():
        raise UserError(
            f"--chat-template {given}: expected one of {', '.join(names)}, a tokenizer's directory "
            "or a .jinja file, found none of these"
        )
    if path.is_dir():
        files = [path / name for name in FILES if (path / name).exists()]
        found = next(((file, text) for file in files if (text := _texts(file))), None)
        if found is None:
            raise UserError(
                f"{path}: expected a chat_template in {', '.join(FILES)}, found none; give the "
                f".jinja file, or one of {', '.join(names)}"
            )
        (file, texts), beside = found, path
    else:
        file, texts = path, _texts(path)
        if not texts:
            raise UserError(f"{path}: expected a chat_template, found none; check the file")
        beside = tokenizer if tokenizer.is_dir() else tokenizer.parent
        beside = path.parent if (path.parent / CONFIG).exists() else beside
    default = texts.get("default") or next(iter(texts.values()))
    return Source(
        name=file.name,
        text=default,
        with_tools=texts.get("tool_use"),
        variables=_variables(beside / CONFIG),
    )


def _texts(file: Path) -> dict[str, str]:
    """Return the templates of a file by their names, none if it has none."""
    if file.suffix != ".json":
        try:
            return {"default": file.read_text(encoding="utf-8")}
        except UnicodeDecodeError as error:
            raise UserError(f"{file}: expected a template in UTF-8, {error.reason}") from error
    template = _json(file).get("chat_template")
    if isinstance(template, str):
        return {"default": template}
    listed = template if isinstance(template, list) else []
    return {each["name"]: each["template"] for each in listed if {"name", "template"} <= {*each}}


def _variables(file: Path) -> dict[str, str]:
    config = _json(file) if file.exists() else {}
    found = {name: config.get(name) for name in SPECIAL}
    spelled = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in found.items()
    }
    return {name: value for name, value in spelled.items() if isinstance(value, str)}


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise UserError(f"{file}: expected JSON, but {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected an object, found {type(content).__name__}")
    return content
