"""End of document, end of turn, beginning, padding: what the files say, and where they differ."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeGuard

from preprocess.doctor.facts import CONFIG, GENERATION, SPECIAL_TOKENS, TOKENIZER_CONFIG
from preprocess.doctor.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from preprocess.doctor.facts import ModelFiles, Vocabulary

END_OF_TURN = re.compile(r"eot|eom|im_end|end_of_turn|turn_end|\|end\|", re.IGNORECASE)
"""Tokens by which instruct models end a turn; others may do so too."""

NO_PAD = -1
"""What configurations write where there is no token for padding."""


def check_special_tokens(vocabulary: Vocabulary, files: ModelFiles) -> list[Finding]:
    """Return what the special tokens say."""
    findings = [end_of_document(vocabulary)]
    said = {name: said_of(vocabulary, files, name) for name in ("eos", "bos", "pad")}
    for name, places in said.items():
        findings += unknown(vocabulary, name, places)
        findings += no_ids(files, name)
    findings += [ends(vocabulary, said["eos"]), beginning(vocabulary, files, said["bos"])]
    findings.append(padding(vocabulary, said["pad"], said["eos"]))
    return findings


def said_of(vocabulary: Vocabulary, files: ModelFiles, name: str) -> dict[str, list[int | str]]:
    """Return file -> the ids that it gives a role; a token that the tokenizer lacks stays a token.

    Empty values are left out: a file that says nothing does not contradict.
    """
    said: dict[str, list[int | str]] = {}
    for place, content in ((CONFIG, files.config), (GENERATION, files.generation)):
        value = content.get(f"{name}_token_id")
        ids = value if isinstance(value, list) else [value]
        found = [number for number in ids if _is_id(number)]
        if name == "pad":
            found = [number for number in found if number != NO_PAD]
        if found:
            said[place] = list(found)
    for place, content in (
        (TOKENIZER_CONFIG, files.tokenizer),
        (SPECIAL_TOKENS, files.special_tokens),
    ):
        token = _content(content.get(f"{name}_token"))
        if token:
            said[place] = [vocabulary.ids.get(token, token)]
    return said


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def no_ids(files: ModelFiles, name: str) -> list[Finding]:
    """Look for ids that are no integers: who reads the file would find no token, or fail."""
    findings = []
    for place, content in ((CONFIG, files.config), (GENERATION, files.generation)):
        value = content.get(f"{name}_token_id")
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if wrong := [each for each in ids if not _is_id(each)]:
            findings.append(
                fail(
                    f"{name} of {place}",
                    f"{name}_token_id holds {str(wrong[0])[:60]!r}, which is no integer",
                    "write the id of the token there",
                )
            )
    return findings


def _content(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def end_of_document(vocabulary: Vocabulary) -> Finding:
    """Say which token `tokenize` puts behind every document, and why."""
    if vocabulary.eod is None:
        return fail("end of document", vocabulary.eod_problem, "choose it with `tokenize --eod`")
    eod = vocabulary.eod
    return ok("end of document", f"{eod.token} (id {eod.id}): {eod.reason}")


def unknown(vocabulary: Vocabulary, name: str, said: dict[str, list[int | str]]) -> list[Finding]:
    """Look for tokens and ids that the tokenizer does not have."""
    return [
        fail(
            f"{name} of {place}",
            f"{value} is not in the vocabulary of {vocabulary.size:,} ids",
            "take the file from the model that the tokenizer belongs to",
        )
        for place, values in said.items()
        for value in values
        if isinstance(value, str) or not 0 <= value < vocabulary.size
    ]


def ends(vocabulary: Vocabulary, said: dict[str, list[int | str]]) -> Finding:
    """Compare the eos tokens of the files with one another and with the end of a document."""
    subject = "eos"
    if not said:
        return ok(subject, "no file names one")
    shown = _shown(vocabulary, said)
    everything = [value for values in said.values() for value in values]
    eod = vocabulary.eod.id if vocabulary.eod else None
    if all(value == eod for value in everything):
        return ok(subject, f"the end of a document, in {', '.join(said)}")
    turns = [
        value
        for value in dict.fromkeys(everything)
        if isinstance(value, int)
        and 0 <= value < vocabulary.size
        and END_OF_TURN.search(vocabulary.tokens[value] or "")
    ]
    if turns:
        names = ", ".join(vocabulary.shown(value) for value in turns)
        return warn(
            subject,
            f"{shown}; {names} ends a turn of an instruct model, not a document",
            "nothing for pre-training; let generation stop at both",
        )
    return warn(
        subject,
        f"{shown}; documents will end in another token"
        if eod is not None
        else f"{shown}; none is known to end a document",
        "if one of these is what the model was trained with, name it: `tokenize --eod TOKEN`",
    )


def beginning(
    vocabulary: Vocabulary, files: ModelFiles, said: dict[str, list[int | str]]
) -> Finding:
    """Compare the bos tokens of the files; say that documents do not get one."""
    subject = "bos"
    values = {value for each in said.values() for value in each}
    if len(values) > 1:
        return warn(
            subject,
            f"the files differ: {_shown(vocabulary, said)}",
            "documents get none, so that it matters only when the model is used; mend the files",
        )
    if files.tokenizer.get("add_bos_token") is True:
        return warn(
            subject,
            f"{_shown(vocabulary, said) or 'none'}; the tokenizer puts it before every text, "
            "`tokenize` does not: documents are told apart by their end",
            "nothing, unless the model was trained with it before every document",
        )
    return ok(subject, _shown(vocabulary, said) or "no file names one")


def padding(
    vocabulary: Vocabulary, said: dict[str, list[int | str]], eos: dict[str, list[int | str]]
) -> Finding:
    """Look for a pad token that is an end: what is masked as padding is not learnt.

    Megatron sets a pad id that collides with another special token to -1, unless it is told to
    allow it; then the loss of every real end of document is lost, as it is in trainers that mask
    by the pad id. Our masks go by position.
    """
    subject = "pad"
    if not said:
        return ok(subject, "no file names one; shards need none")
    shown = _shown(vocabulary, said)
    pads = {value for values in said.values() for value in values}
    if vocabulary.eod is not None and vocabulary.eod.id in pads:
        return warn(
            subject,
            f"{shown} is the end of a document: who masks padding by its id never learns to end",
            "name another pad token in the files, an unused reserved one for example",
        )
    if ends := pads & {value for values in eos.values() for value in values}:
        return warn(
            subject,
            f"{shown} is also eos ({', '.join(map(str, ends))}): who masks padding by its id never "
            "learns to stop",
            "name another pad token in the files, an unused reserved one for example",
        )
    if len(pads) > 1:
        return warn(subject, f"the files differ: {shown}", "mend the files")
    return ok(subject, shown)


def _shown(vocabulary: Vocabulary, said: dict[str, list[int | str]]) -> str:
    return "; ".join(
        f"{place}: "
        + ", ".join(
            value if isinstance(value, str) else vocabulary.shown(value) for value in values
        )
        for place, values in said.items()
    )
