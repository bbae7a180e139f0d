"""The datasets that `preprocess ingest` reads, one module each.

Modules import what is heavy (parsers, extractors) only when they read, so that the table of
readers is cheap to make.
"""

from preprocess.readers import jsonl, package_text, python_api, source_code
from preprocess.readers.reader import Options, Reader

READERS: dict[str, Reader] = {
    module.READER.name: module.READER for module in (python_api, source_code, package_text, jsonl)
}
"""Every reader by its dataset's name, in the order of the table that users see."""

__all__ = ["READERS", "Options", "Reader"]
