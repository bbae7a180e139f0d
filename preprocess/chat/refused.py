"""A record that a template does not render, in the words that manifests count."""

from __future__ import annotations


class RefusedError(Exception):
    """Why a record has no rendering; `reason` is one of the words of `chat/refusal.rs`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
