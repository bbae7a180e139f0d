"""What holds of a record's function calls: each function exists, its arguments fit the schema.

The result stands in `meta.checks` of every record with calls; what each fault means, and what `at`
names in it, stands in docs/checks.md.
"""

from preprocess.checks.calls import check_calls
from preprocess.checks.requirements import REQUIREMENTS, Requirement

__all__ = ["REQUIREMENTS", "Requirement", "check_calls"]
