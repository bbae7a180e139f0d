"""The text that pre-training sees of a record: named templates, chosen by a hash of the id.

A text is a function of the record and the template alone: no clock, no locale, no order but the
source's. What the templates look like, and how often each is chosen, stands in docs/rendering.md.
"""

from preprocess.render.spans import Span, SpanRole
from preprocess.render.templates import PROPORTIONS, TEMPLATES
from preprocess.render.texts import fingerprint, parse, spans_of, text_of

__all__ = [
    "PROPORTIONS",
    "TEMPLATES",
    "Span",
    "SpanRole",
    "fingerprint",
    "parse",
    "spans_of",
    "text_of",
]
