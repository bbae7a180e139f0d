"""What is refused of conversations before the first step, and what a person is told of them.

A stop token that no loss ever reaches trains a model that looks fine in every curve and never ends
its turn; a mask that lets every role count trains one that asks itself questions. (A mask that
counts everything or nothing is refused by its sidecar already, in `blend`.)
"""

from collections.abc import Sequence
from pathlib import Path

from megatron_recipes.blend import Blend
from megatron_recipes.tuning.asked import read_asked
from megatron_recipes.tuning.conversations import MixedConversations
from megatron_recipes.tuning.mask_survey import END_OF_DOCUMENT, Survey, survey_parts
from megatron_recipes.tuning.masked_documents import MASK_SUFFIX, MaskedDocuments
from megatron_recipes.tuning.sample import describe_sample
from megatron_recipes.tuning.stop_tokens import NOTHING_KNOWN, Stops, read_stops
from megatron_recipes.tuning.words import Words

NEARLY_NONE = 0.05
"""Of turns that end in a stop token: a model does not learn from so few to stop, and the good turn
of another source does not make up for a template that is wrong for the others. Of documents that
train every role: a few short ones may look like it."""
NOTICEABLE = 0.01
"""Of turns that do not. Every template here ends every turn, so that one in a hundred is a source
of its own, such as conversations that were cut off before they were tokenized. (What is cut at
turns to fit a sequence ends as turns do, and documents are looked at, not their pieces.)"""
SHOWN_HEADERS = 3
OWN_END = "tokenize with a template that marks the end of the assistant's turn as its own"


def check_masks(
    documents: MaskedDocuments, stops: Stops, *, eod_id: int | None, words: Words
) -> list[str]:
    """Refuse masks that teach to speak for others, or never to stop; return warnings.

    Every part is held to it by itself, so that no good one outvotes a bad one.

    Args:
        documents: Of a group.
        stops: Where the model stops.
        eod_id: The token that `tokenize` appends to a document.
        words: What reads tokens, for what is said of them.

    Raises:
        ValueError: Most documents of a part have every role trained, most of its trained turns end
            in front of a stop token of the model, or (nearly) none in one.
    """
    surveys = survey_parts(documents, eod_id=eod_id)
    warnings = _first_of([line for each in surveys for line in _check_roles(each, words)])
    if stops.pad_id is not None and stops.pad_id in stops.ids | {eod_id}:
        warnings.append(
            f"the padding token {stops.pad_id} is also one that ends a turn or a document; losses "
            "are masked by position here, so it is trained where the mask says"
        )
    if not stops.ids:
        return [
            *warnings,
            "the model's stop tokens are not known, so that turns end in them was not checked: "
            "start from a checkpoint that was imported with its generation_config.json",
        ]
    for each in surveys:
        _check_stops(each, stops, words)
    return [*warnings, *_unstopped_lines(surveys, stops, words)]


def _first_of(lines: list[str]) -> list[str]:
    """Return the first of such lines as parts of one dataset have alike, and how many more."""
    if len(lines) < 2:
        return lines
    return [f"{lines[0]} (as for {len(lines) - 1:,} other parts)"]


def _check_roles(found: Survey, words: Words) -> list[str]:
    """Refuse a mask that lets what users say count, unless that was asked for."""
    if found.num_without_words <= NEARLY_NONE * found.num_documents:
        return []
    asked = read_asked(found.prefix)
    if "user" in asked.roles:
        return []
    trains_headers = 2 * found.num_without_header > found.num_without_words
    shown = ", ".join(repr(words.text(run)) for run in found.headers[:SHOWN_HEADERS])
    line = (
        f"{found.prefix}{MASK_SUFFIX}: expected a mask that trains the assistant's turns, found "
        f"that {found.num_without_words:,} of {found.num_documents:,} documents mask nothing that "
        f"anybody says, only {'single tokens' if trains_headers else shown}; "
        f"{found.num_trained:,} of {found.num_tokens:,} tokens looked at are trained"
    )
    if asked.marks_itself:
        # A short text that many documents have, and whose end is no token that ends the
        # assistant's turns, as `[INST]Continue[/INST]` in Mistral's format, looks like a header.
        return [
            f"{line}; the template marks the assistant's turns alone, so that this is right if it "
            "is what users say, or if records ask for it (loss)"
        ]
    is_most = 2 * found.num_without_words > found.num_documents
    # Of a merged dataset, or one of spans, nobody knows here what its roles were to be; but no role
    # that can be asked for has a header that is trained.
    if is_most and (trains_headers or asked.roles):
        raise ValueError(
            f"{line}; tokenize with a chat template whose {{% generation %}} stands around the "
            "assistant's turns alone, or name the user in --train-roles if that is meant"
        )
    return [f"{line}; that is right only if it was asked for (--train-roles)"]


def _check_stops(found: Survey, stops: Stops, words: Words) -> None:
    stopped = _count_stopped(found, stops)
    masked = sum(
        count
        for (last, following), count in found.ends.items()
        if following in stops.ids and last not in stops.ids
    )
    is_masked = masked > 0 and masked >= stopped
    if not is_masked and stopped > NEARLY_NONE * found.num_turns:
        return
    name, named = f"{found.prefix}{MASK_SUFFIX}", f"{sorted(stops.ids)} ({stops.path})"
    if is_masked and 2 * masked >= found.num_turns - stopped:
        raise ValueError(
            f"{name}: expected the loss of the stop token to count, found that {masked:,} of "
            f"{masked + stopped:,} at the end of trained turns are masked; the model stops at "
            f"{named}, so {OWN_END}"
        )
    # Of a base model that is tuned with an end of turn of its own, too (Llama 3.1 names only
    # <|end_of_text|> as its end): what is tuned keeps these files, so that whoever serves it would
    # wait for a token that it never writes. That shows only after the training, and costs one line
    # now; so it is refused, not warned of.
    raise ValueError(
        f"{name}: expected trained turns to end in a stop token of the model, {named}, found "
        f"{stopped:,} of {found.num_turns:,} that do; {_remedy(found, stops, words)}"
    )


def _count_stopped(found: Survey, stops: Stops) -> int:
    return sum(count for (last, _), count in found.ends.items() if last in stops.ids)


def _remedy(found: Survey, stops: Stops, words: Words) -> str:
    """Return what to do where turns do not end in a stop token, by what they do end in."""
    common = found.lasts().most_common(1)
    if not common:
        return f"nothing is trained in the documents looked at; {OWN_END}"
    [(token, count)] = common
    if 2 * count > found.num_turns and words.is_control(token) is not False:
        return (
            f"{count:,} end in {words.named(token)}, which {stops.path} does not name: add it to "
            "eos_token_id there if the tuned model shall stop at it, or use the chat template that "
            "belongs to the model"
        )
    closed = sum(
        number for (_, following), number in found.ends.items() if following == END_OF_DOCUMENT
    )
    behind = f"; the end of the document is masked behind {closed:,} of them" if closed else ""
    return (
        f"they end in no token of their own (the commonest last one, {words.named(token)}, ends "
        f"{count:,}){behind}; {OWN_END}"
    )


def _unstopped_lines(surveys: Sequence[Survey], stops: Stops, words: Words) -> list[str]:
    """Return a line on the part with the most turns that end in no stop token, if it has many."""
    shares = [(each.num_turns - _count_stopped(each, stops)) / each.num_turns for each in surveys]
    noticed = sum(share > NOTICEABLE for share in shares)
    if not noticed:
        return []
    share, worst = max(zip(shares, surveys, strict=True), key=lambda pair: pair[0])
    lasts = [(token, count) for token, count in worst.lasts().items() if token not in stops.ids]
    token, _ = max(lasts, key=lambda pair: pair[1])
    others = f" (as in {noticed - 1:,} other parts, fewer)" if noticed > 1 else ""
    return [
        f"{worst.prefix}{MASK_SUFFIX}: {share:.1%} of {worst.num_turns:,} trained turns looked at "
        f"end in no stop token of the model{others}, mostly in {words.named(token)}; where turns "
        "were cut off or end otherwise, it learns not to stop"
    ]


def check_blend(blend: Blend, model_files: Path | None) -> None:
    """Refuse the masks of a blend before its training is there.

    Args:
        blend: Conversations with masks.
        model_files: The Hugging Face files that the training will have; None: not known.

    Raises:
        ValueError: The masks of a part are not to be trained: see `check_masks`.
    """
    stops, words = read_stops(model_files) if model_files else NOTHING_KNOWN, Words(model_files)
    for group in blend.train:
        documents = MaskedDocuments([str(part.prefix) for part in group.parts if part.tokens])
        check_masks(documents, stops, eod_id=blend.eod_id, words=words)


def conversation_lines(
    dataset: MixedConversations, model_files: Sequence[Path], *, eod_id: int | None, shows: bool
) -> list[str]:
    """Return what a person should know before the first step: warnings, and a decoded sample.

    Args:
        dataset: What is trained on.
        model_files: Directories where the Hugging Face files of the model may be, likeliest first.
        eod_id: The token that ends a document.
        shows: Whether a sample is wanted.

    Raises:
        ValueError: The masks of a part are not to be trained: see `check_masks`.
    """
    found = next((path for path in model_files if path.is_dir()), None)
    stops, words = read_stops(found) if found else NOTHING_KNOWN, Words(found)
    lines: dict[str, None] = {}
    for group in dataset.groups:
        lines |= dict.fromkeys(check_masks(group.documents, stops, eod_id=eod_id, words=words))
    return [*lines, *(describe_sample(dataset[0], words) if shows else ())]
