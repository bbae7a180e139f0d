"""What an installed Python file belongs to: its import root and the licence of its distribution.

Only files near the one asked about are looked at, and nothing is imported.
"""

import csv
import email.parser
import io
import re
from collections.abc import Mapping
from email.message import Message
from functools import lru_cache
from pathlib import Path

STANDARD_LIBRARY_LICENSE = "PSF-2.0"

# Trove classifiers that name exactly one SPDX licence. "BSD License" is not among them: it does
# not say how many clauses, and neither are those that leave out a version.
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
# Identifiers that the free-form field `License` is trusted with; anything else in it is prose.
_IDENTIFIERS = {
    name.lower(): name
    for name in (
        *_CLASSIFIERS.values(),
        *("0BSD", "BSD-2-Clause", "BSD-3-Clause", "MIT-CMU", "PSF-2.0", "Python-2.0"),
    )
}


def parse_metadata(text: str) -> Message:
    """Parse the core metadata of a distribution (`METADATA`, `PKG-INFO`)."""
    return email.parser.HeaderParser().parsestr(text)  # the body is text, whatever it claims


def license_of_metadata(metadata: Message) -> str:
    """Return the SPDX expression that core metadata states beyond doubt, else `unknown`."""
    expression = metadata.get("License-Expression")
    if expression:
        return " ".join(expression.split())
    free_form = _IDENTIFIERS.get(metadata.get("License", "").strip().lower())
    if free_form:
        return free_form
    prefix = "License :: "
    stated = [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata.get_all("Classifier", [])
        if classifier.startswith(prefix) and not classifier.endswith(":: OSI Approved")
    ]
    # Several classifiers do not say whether both hold or one may be chosen.
    return _CLASSIFIERS.get(stated[0], "unknown") if len(stated) == 1 else "unknown"


def license_of_file(path: Path) -> str:
    """Return the licence of the distribution that installed `path`, else `unknown`."""
    root = import_root(path)
    if root is None:
        return "unknown"
    if _is_standard_library(root):
        return STANDARD_LIBRARY_LICENSE
    relative = path.absolute().relative_to(root).as_posix()
    own = re.match(r"[^/]+\.dist-info(?=/)", relative)
    if own:
        return _license_of_distribution(root / own[0])
    return _licenses_by_file(root).get(relative, "unknown")


def import_root(path: Path) -> Path | None:
    """Return the nearest folder above `path` that Python imports from.

    That is one holding installed distributions (`*.dist-info`) or the standard library.
    """
    for folder in path.absolute().parents:
        if _is_standard_library(folder) or _distributions(folder):
            return folder
    return None


@lru_cache(maxsize=4096)
def _is_standard_library(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("os.py", "site.py", "abc.py"))


@lru_cache(maxsize=4096)
def _distributions(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.dist-info")))


@lru_cache(maxsize=4096)
def _license_of_distribution(folder: Path) -> str:
    try:
        text = (folder / "METADATA").read_bytes().decode("utf-8", "replace")
    except OSError:
        return "unknown"  # a distribution without metadata states nothing
    return license_of_metadata(parse_metadata(text))


@lru_cache(maxsize=8)
def _licenses_by_file(root: Path) -> Mapping[str, str]:
    """Map every file that the distributions of `root` recorded to its licence."""
    licenses: dict[str, str] = {}
    for folder in _distributions(root):
        try:
            rows = (folder / "RECORD").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue  # installed by something that keeps no record
        license_ = _license_of_distribution(folder)
        licenses.update((row[0], license_) for row in csv.reader(io.StringIO(rows)) if row)
    return licenses
