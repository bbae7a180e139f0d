"""Who encodes, and whether the ids are those of the reference library on hard text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.doctor.findings import Finding, fail, ok, warn
from preprocess.errors import UserError
from preprocess.reference import load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from preprocess._rust_ext import Tokenizer
    from preprocess.reference import Reference

PLAIN = {
    "combining marks": "cafe\u0301 n\u0303a\u0308 \u0e01\u0e33\u0e49 \u0928\u093f \u0301alone "
    "a\u0316\u0301b",
    "composed and decomposed": "\u00c5 A\u030a \u212b \uac00 \u1100\u1161 \ufb01 \u1e9b\u0323",
    "spaces": " a  b   c\t\td \u00a0\u2003e\u3000f \u200bg \u1680h\u2028i",
    "line ends": "a\nb\r\nc\n\n\n  d\n \n\te \r f\x0b\x0cg\x85h\n",
    "digits": "1 12 123 1234 1234567 3.14159 1,000,000 \u0663\u0664\u0665 \u00bd \u2167 "
    "\uff11\uff12",
    "contractions": "don't DON'T I'll we'VE it's' 'tis o'clock \u2019s x\u017fs",
    "code": "def f(x):\n\treturn {'a': [x, -1]}  # \u00fc\n\n\nclass A:\n    pass\n",
    "scripts": "\u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u4e2d\u6587\u5b57 \u65e5\u672c\u8a9e "
    "\ud55c\uad6d\uc5b4 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0e44\u0e17\u0e22 \u05e2\u05d1",
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea "
    "\u2764\ufe0f \U0001f44d\U0001f3fd",
    "long words": "a" * 300 + " " + "ab" * 200 + "=" * 150 + " " * 120 + "!?" * 90,
    "odd characters": "\x00\x01\x7f\ufeff\ufffd\ue000\U0010ffff \u2581under\u2581 _\u0120\u010a",
}  # fmt: skip
"""What tokenizers differ in; written by hand."""


def check_encoder(tokenizer: Tokenizer) -> list[Finding]:
    """Return who encodes, and the agreement with the reference library."""
    try:
        reference = load_reference(tokenizer)
    except UserError as error:
        agreement = warn("agreement", str(error), "install it, so that ids can be compared")
    else:
        agreement = agree(tokenizer, reference)
    return [who(tokenizer.kind, tokenizer.fallback_reason), agreement]


def who(kind: str, fallback: str | None) -> Finding:
    """Say whether our encoder does the work."""
    if fallback is None:
        return ok("encoder", f"ours: {kind}")
    return warn(
        "encoder",
        f"the tokenizers library: {fallback}",
        "the ids are right, but it takes some 20 times as long; plan for it",
    )


def stress_texts(special: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield hard texts with their names, special tokens as data among them."""
    yield from PLAIN.items()
    yield "special tokens in data", " ".join(f"a{token}b {token}" for token in special[:8])
    yield "everything", "\n".join(PLAIN.values())


def agree(tokenizer: Tokenizer, reference: Reference) -> Finding:
    """Compare the ids of the hard texts."""
    special = [token for token, _ in tokenizer.special_tokens]
    texts = list(stress_texts(special))
    different = [name for name, text in texts if tokenizer.encode(text) != reference.encode(text)]
    if not different:
        return ok("agreement", f"the ids of {reference.name} for all {len(texts)} hard texts")
    return fail(
        "agreement",
        f"other ids than {reference.name} for: {', '.join(different)}",
        "do not tokenize with it; report the tokenizer's file",
    )
