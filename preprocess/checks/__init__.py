"""What holds of a record's function calls: each function exists, its arguments fit the schema.

The result stands in `meta.checks` of every record with calls:

    {"calls": 3, "valid": false, "faults": [{"call": 1, "fault": "wrong_type", "at": "city"}]}

`faults` is left out where there are none. A fault names the call or the message where it lies, by
its ordinal in the record from 0, and `at` says where in it:

| fault | means | `at` |
|---|---|---|
| `no_tools` | calls, and the record declares no tools at all | |
| `unknown_function` | the function is not among the tools | its name |
| `invalid_schema` | the tool's parameters are no JSON Schema, or point outside | its name |
| `arguments_not_object` | the arguments could not be parsed as an object | |
| `missing_argument` | a required argument, or a key in one, is not given | its path |
| `unknown_argument` | the schema does not name it, nor has `additionalProperties` | its path |
| `wrong_type` | a value of another type | its path |
| `not_in_enum` | a value that is not among those listed | its path |
| `invalid_value` | a value against another rule of the schema, such as `maximum` | its path |
| `duplicate_call_id` | an earlier call has the same id | the id |
| `observation_without_call` | the turn of a tool that answers no earlier call | the id |
| `call_answered_twice` | the turn of a tool that answers a call again | the id |
"""

from preprocess.checks.calls import check_calls
from preprocess.checks.requirements import REQUIREMENTS, Requirement

__all__ = ["REQUIREMENTS", "Requirement", "check_calls"]
