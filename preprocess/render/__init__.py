"""The text that pre-training sees of a record: named templates, chosen by a hash of the id."""

from preprocess.render.texts import text_of

__all__ = ["text_of"]
