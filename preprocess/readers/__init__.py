"""The datasets that `preprocess ingest` reads, one module each.

Listing the readers imports none of them, and a reader imports what is heavy (parsers,
extractors) only when it reads: every command starts as if there were one reader.
"""

from preprocess.readers.reader import Options, Reader
from preprocess.readers.registry import READERS

__all__ = ["READERS", "Options", "Reader"]
