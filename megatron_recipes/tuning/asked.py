"""What `tokenize` was asked to train, where its manifest still stands beside a part."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What `tokenize` was asked to train."""

    roles: tuple[str, ...] = ()
    """Empty: not known."""

    marks_itself: bool = False
    """Whether the template is one of its own, which mark turns by role, not one that was given."""


def read_asked(prefix: str) -> Asked:
    """Return what the manifest beside a part says of it; of a merged one, there is none."""
    try:
        content = json.loads((Path(prefix).parent / "manifest.json").read_bytes())["config"]
        roles = content["train_roles"]
        # A template that was given has the digest of its file.
        marks_itself = content.get("chat_template_sha256", "") is None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Asked()
    if not isinstance(roles, list):
        return Asked()
    return Asked(roles=tuple(roles), marks_itself=marks_itself)
