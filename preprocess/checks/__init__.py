"""What holds of a record's function calls: each function exists, its arguments fit the schema."""

from preprocess.checks.calls import check_calls

__all__ = ["check_calls"]
