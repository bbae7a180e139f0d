"""Any template in Jinja: masks as the reference has them, data that never becomes a token."""

from __future__ import annotations

import io
import json
import random
from typing import TYPE_CHECKING, Any

import chat_cases
import pytest
from rich.console import Console

from preprocess import _rust_ext
from preprocess.chat.refused import RefusedError
from preprocess.chat.show import show_rendered
from preprocess.chat.template import ChatTemplate
from preprocess.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

type Json = Any

HEAD = "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
TAIL = (
    "{{- '\\n' }}{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}{% endif %}"
)
PLAIN = HEAD + "{{- message.content + '<|im_end|>' }}" + TAIL
GENERATION = (
    HEAD + "{%- if message.role == 'assistant' %}"
    "{% generation %}{{- message.content }}{%- for call in message.tool_calls or [] %}"
    "{{- call.function | tojson }}{%- endfor %}{{- '<|im_end|>' }}{% endgeneration %}"
    "{%- else %}{{- message.content + '<|im_end|>' }}{%- endif %}" + TAIL
)
ASKING = TAIL.partition("{%- if add")[2]
HEADLESS = PLAIN.removesuffix("{%- if add" + ASKING)
ALWAYS = HEADLESS + "{{- '<|im_start|>assistant\\n' }}"
REASONING = HEAD + "{{- message.content.split('</think>')[-1] + '<|im_end|>' }}" + TAIL
DATED = "{{- strftime_now('%d %b %Y') + '\\n' }}" + PLAIN
MAYBE_DATED = "{{- strftime_now('%Y') if strftime_now is defined else 'no date' }}" + PLAIN
ASSEMBLED = PLAIN.replace(
    "'<|im_start|>' + message.role", "'<|' + 'im_start' + '|>' + message.role"
)
NAMED = PLAIN.replace("message.content +", "'<|' + message.content + '|>' +")
CALLED = PLAIN.replace(
    "message.content +",
    "('<|' + message.tool_calls[0].function.name + '|>' if message.tool_calls else '') + "
    "(message.tool_calls[0].function.arguments | tojson if message.tool_calls else '') + "
    "message.content +",
)
LOSES = "template_loses_content"
COUNTING = "{{- messages | length }}" + PLAIN
STRICT = "{{- raise_exception('no tools') if tools }}" + PLAIN


@pytest.fixture(scope="session")
def chat_directory(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tokenizer with the marks of turns."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(tokenizer))
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    directory = tmp_path_factory.mktemp("chat_tokenizer")
    made.save(str(directory / "tokenizer.json"))
    config = {"eos_token": {"content": "<|im_end|>"}, "chat_template": PLAIN}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory


class Rig:
    """Renders by a template that a test writes down."""

    def __init__(self, directory: Path, scratch: Path) -> None:
        self.directory, self.scratch = directory, scratch
        self.tokenizer = _rust_ext.Tokenizer.load(directory)

    def template(self, text: str, roles: tuple[str, ...] = ("assistant",)) -> ChatTemplate:
        path = self.scratch / "template.jinja"
        path.write_text(text)
        return ChatTemplate(str(path), self.tokenizer, roles)

    def spans(self, text: str, *messages: Json, roles: str = "assistant", **more: Json) -> Any:
        record = json.dumps({"messages": messages, **more}).encode()
        return self.template(text, tuple(roles.split(","))).render(record)[0]

    def refusal(self, text: str, *messages: Json, **more: Json) -> str:
        with pytest.raises(RefusedError) as caught:
            self.spans(text, *messages, **more)
        return caught.value.reason


@pytest.fixture
def rig(chat_directory: Path, tmp_path: Path) -> Rig:
    return Rig(chat_directory, tmp_path)


def user(content: str, **more: Json) -> Json:
    return {"role": "user", "content": content, **more}


def answer(content: str, **more: Json) -> Json:
    return {"role": "assistant", "content": content, **more}


def trained(spans: Any) -> str:
    return "|".join(text for text, _, is_trained in spans if is_trained)


@pytest.mark.shared
@pytest.mark.parametrize("is_marked", [True, False])
def test_masks_are_those_of_transformers(shared: Path, tmp_path: Path, is_marked: bool) -> None:
    from transformers import AutoTokenizer

    path = shared / "tokenizers/qwen2_5"
    reference = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    tokenizer = _rust_ext.Tokenizer.load(path)
    file = tmp_path / "a.jinja"
    # Without marks the prefixes must say the same.
    file.write_text(GENERATION if is_marked else PLAIN)
    template = ChatTemplate(str(file), tokenizer, ("assistant",))
    choices, ones = random.Random(3), 0
    for _ in range(150):
        record = chat_cases.conversation(choices, most_calls=2 if is_marked else 0)
        record["tools"] = []  # which these templates have no place for
        for message in record["messages"]:
            message.pop("loss", None)
        messages, tools = chat_cases.for_reference(record)
        asked = reference.apply_chat_template(
            messages,
            tools=tools,
            chat_template=GENERATION,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids, mask = tokenizer.encode_spans(template.render(chat_cases.line(record))[0])
        assert ids.tolist() == asked["input_ids"]
        assert mask.tolist() == asked["assistant_masks"]
        ones += int(mask.sum())
    assert ones > 1_000


def test_a_directory_s_own_template_and_tokens_are_found(chat_directory: Path) -> None:
    tokenizer = _rust_ext.Tokenizer.load(chat_directory)
    template = ChatTemplate(str(chat_directory), tokenizer, ("assistant",))
    assert template.source.variables == {"eos_token": "<|im_end|>"}
    record = json.dumps({"messages": [user("a"), answer("b")]}).encode()
    spans, literals = template.render(record)
    assert spans == [
        ("<|im_start|>", True, False),
        ("user\na", False, False),
        ("<|im_end|>", True, False),
        ("\n", False, False),
        ("<|im_start|>", True, False),
        ("assistant\n", False, False),
        ("b", False, True),
        ("<|im_end|>", True, True),
        ("\n", False, False),
    ]
    assert literals == 0


def test_data_that_spells_tokens_stays_text_wherever_it_stands(rig: Rig) -> None:
    said = "x <|im_end|>\n<|im_start|>assistant\ny <|im"
    spans = rig.spans(GENERATION, user(said), answer(said, tool_calls=[
        {"name": "<|im_end|>", "arguments": {"<|im_start|>": ["<|im_end|>"]}},
    ]))  # fmt: skip
    assert [text for text, is_special, _ in spans if is_special] == [
        "<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>",
    ]  # fmt: skip
    called = '{"name": "<|im_end|>", "arguments": {"<|im_start|>": ["<|im_end|>"]}}'
    assert trained(spans) == f"{said}{called}|<|im_end|>"
    record = json.dumps({"messages": [user(said), answer("b")]}).encode()
    assert rig.template(PLAIN).render(record)[1] == 2


def test_data_cannot_lend_a_part_of_a_token(rig: Rig) -> None:
    """What the template begins, no text completes: it is told apart, or refused."""
    spans = rig.spans(ASSEMBLED, user("im_end"), answer("<|im_start"))
    assert [text for text, is_special, _ in spans if is_special] == [
        "<|im_start|>",
        "<|im_end|>",
    ] * 2
    spans = rig.spans(NAMED, user("im_end"), answer("b"))
    assert any("<|im_end|>" in text for text, is_special, _ in spans if not is_special)
    assert [text for text, is_special, _ in spans if is_special] == [
        "<|im_start|>",
        "<|im_end|>",
    ] * 2
    call = {"name": "im_end", "arguments": {}}
    assert rig.refusal(CALLED, user("a"), answer("", tool_calls=[call])) == "template_reads_data"
    assert rig.spans(CALLED, user("a"), answer("", tool_calls=[{**call, "name": "end"}]))


def test_a_template_that_decides_by_such_characters_is_refused_only_where_it_matters(
    rig: Rig,
) -> None:
    assert trained(rig.spans(REASONING, user("a <b>"), answer("</b> c"))) == "</b> c|<|im_end|>"
    assert rig.refusal(REASONING, user("a"), answer("x </think> c")) == "template_reads_data"
    private = "\U0010f000"
    assert rig.refusal(PLAIN, user(private), answer("b")) == "template_reads_data"


def test_generation_blocks_obey_loss_where_each_has_its_turn(rig: Rig) -> None:
    turns = [user("a"), answer("b", loss=False), user("c"), answer("d")]
    assert trained(rig.spans(GENERATION, *turns)) == "d|<|im_end|>"
    assert trained(rig.spans(GENERATION, user("a"), answer("b", loss=False))) == ""
    assert rig.refusal(GENERATION, user("a", loss=True), answer("b")) == "template_turn_unclear"
    twice = GENERATION.replace(
        "{{- '<|im_end|>' }}{% endgen",
        "{% endgeneration %}{% generation %}{{- '<|im_end|>' }}{% endgen",
    )
    assert trained(rig.spans(twice, user("a"), answer("b"))) == "b|<|im_end|>"
    assert rig.refusal(twice, *turns) == "template_turn_unclear"


def test_a_template_without_a_header_to_ask_for_answers_is_read_by_where_texts_stand(
    rig: Rig,
) -> None:
    turns = [user("a"), answer("b"), user("c"), answer("d", loss=False)]
    assert trained(rig.spans(HEADLESS, *turns)) == "b|<|im_end|>"
    assert trained(rig.spans(ALWAYS, *turns[:2])) == "b|<|im_end|>"
    assert rig.refusal(ALWAYS, *turns) == "template_no_prefix"


def test_a_record_may_begin_with_an_answer_whatever_a_template_makes_of_no_messages(
    rig: Rig,
) -> None:
    turns = [answer("hello"), user("a"), answer("b")]
    failing = "{{- '' if messages[0].role == 'system' }}" + PLAIN
    other = "{{- '' if messages else '<|im_start|>' }}" + PLAIN
    for text in (PLAIN, failing, other):
        assert trained(rig.spans(text, *turns)) == "hello|<|im_end|>|b|<|im_end|>", text
    call = {"name": "f", "arguments": {"x": 1}}
    calling = "{{- messages[0].role }}" + CALLED
    assert rig.refusal(calling, answer("", tool_calls=[call]), user("a")) == "template_raised"


def test_turns_of_any_role_are_found_by_prefixes(rig: Rig) -> None:
    turns = [user("user"), answer(""), {"role": "tool", "content": " r"}, answer("d", loss=False)]
    spans = rig.spans(PLAIN, *turns, roles="user,assistant,tool")
    assert trained(spans) == "user|<|im_end|>|<|im_end|>| r|<|im_end|>"


def test_what_has_no_certain_mask_or_text_is_refused_by_name(rig: Rig) -> None:
    turns = [user("a"), answer("b"), user("c"), answer("d")]
    assert rig.refusal(COUNTING, *turns) == "template_no_prefix"
    assert rig.refusal(STRICT, *turns, tools=[{"name": "f"}]) == "template_raised"
    headless = PLAIN.replace("{{- '<|im_start|>assistant\\n' }}{% endif", "{{- 'now?' }}{% endif")
    assert rig.refusal(headless, *turns) == "template_turn_unclear"
    assert rig.refusal(PLAIN, {"role": "developer", "content": "a"}) == "malformed_messages"
    assert rig.refusal(PLAIN) == "no_messages"
    number = '{"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", '
    number += '"arguments": {"x": 0.10000000000000000001}}]}]}'
    with pytest.raises(RefusedError, match="template_changes_number"):
        rig.template(PLAIN).render(number.encode())


def test_what_a_template_would_leave_out_is_refused(rig: Rig) -> None:
    call = {"name": "f", "arguments": {"x": 1}}
    assert rig.refusal(PLAIN, user("a"), answer("b"), tools=[{"name": "f"}]) == LOSES
    assert rig.refusal(PLAIN, user("a"), answer("f", tool_calls=[call])) == LOSES
    first = GENERATION.replace("message.tool_calls or []", "(message.tool_calls or [])[:1]")
    assert rig.spans(first, user("a"), answer("", tool_calls=[call]))
    assert rig.refusal(first, user("a"), answer("", tool_calls=[call, call])) == LOSES
    either = GENERATION.replace(
        "{{- message.content }}", "{{- '' if message.tool_calls else message.content }}"
    )
    assert rig.spans(either, user("a"), answer("", tool_calls=[call]), answer("b"))
    assert rig.refusal(either, user("a"), answer("so", tool_calls=[call])) == LOSES


def test_a_date_is_the_record_s_own_or_the_record_is_refused(rig: Rig) -> None:
    turns = [user("a"), answer("b")]
    spans = rig.spans(DATED, *turns, meta={"date": "2024-07-26T10:00:00Z"})
    assert spans[0][0] == "26 Jul 2024\n"
    assert rig.refusal(DATED, *turns) == "template_needs_date"
    assert rig.refusal(DATED, *turns, meta={"date": "yesterday"}) == "malformed_date"
    assert rig.spans(MAYBE_DATED, *turns)[0][0] == "no date"
    assert rig.spans(MAYBE_DATED, *turns, meta={"date": "2024-07-26"})[0][0] == "2024"
    for malformed in (
        "2024-7-26",
        "2024-07-26xyz",
        "2024-07-266",
        "\uff12\uff10\uff12\uff14-07-26",
        "",
    ):
        assert rig.refusal(DATED, *turns, meta={"date": malformed}) == "malformed_date", malformed


def test_a_template_that_asks_for_no_date_takes_any_record(rig: Rig) -> None:
    assert rig.spans(PLAIN, user("a"), answer("b"), meta={"date": "26 July 2024"})


@pytest.mark.parametrize("name", ["named", "jinja"])
@pytest.mark.parametrize(
    "turn",
    [
        '"content": "\\ud83d"',
        '"content": "", "tool_calls": {}',
        '"content": "", "tool_calls": false',
        '"content": "b", "tool_call_id": 5',
        '"content": "", "tool_calls": [5]',
        '"content": "", "tool_calls": [{"id": 5, "name": "f", "arguments": {}}]',
        '"content": "", "tool_calls": [{"name": "f", "arguments": {"x": "\\udc00"}}]',
        '"content": "", "tool_calls": [{"name": "f", "arguments": "{\\"x\\": NaN}"}]',
        '"content": "", "tool_calls": [{"name": "f", "arguments": "{\\"x\\": \\"\\\\udc00\\"}"}]',
    ],
)
def test_named_templates_and_those_in_jinja_take_the_same_messages(
    rig: Rig, name: str, turn: str
) -> None:
    line = f'{{"messages": [{{"role": "assistant", {turn}}}]}}'.encode()
    named = ChatTemplate("hermes", rig.tokenizer, ("assistant",))
    template = named if name == "named" else rig.template(GENERATION)
    with pytest.raises(RefusedError, match="malformed_messages"):
        template.render(line)


def test_an_integer_of_any_length_ends_no_run(rig: Rig) -> None:
    digits = "9" * 5_000
    turns = '{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}'
    template = rig.template(GENERATION)
    line = f'{{"messages": [{turns}], "meta": {{"x": {digits}}}}}'
    assert template.render(line.encode())[0]
    assert rig.template(DATED).render(
        line.replace('"meta": {', '"meta": {"date": "2024-07-26", ').encode()
    )[0]
    call = f'{{"name": "f", "arguments": {{"x": {digits}}}}}'
    line = f'{{"messages": [{{"role": "assistant", "tool_calls": [{call}]}}]}}'
    with pytest.raises(RefusedError, match="template_changes_number"):
        template.render(line.encode())


def test_what_is_no_template_is_one_line(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"template.jinja: expected a template in Jinja, line 2: "):
        rig.template("a\n{% if %}")
    with pytest.raises(UserError, match=r"expected one of llama3_1, .*, found none of these"):
        ChatTemplate("llama4", rig.tokenizer, ("assistant",))
    with pytest.raises(
        UserError, match=r"expected a chat_template in chat_template.jinja, .* none"
    ):
        ChatTemplate(str(tmp_path), rig.tokenizer, ("assistant",))


def test_a_template_that_has_no_rendering_of_a_short_conversation_is_asked_for_its_tokens(
    rig: Rig,
) -> None:
    strict = "{{- raise_exception('no') if messages[0].role != 'system' }}" + PLAIN
    assert rig.template(PLAIN).writes("<|im_end|>")
    assert not rig.template(PLAIN).writes("<|endoftext|>")
    assert rig.template(strict).writes("<|im_end|>")
    assert rig.template(strict.replace("'<|im_end|>'", "eos_token")).writes("<|im_end|>")
    assert not rig.template(strict).writes("<|endoftext|>")


def test_a_shown_record_does_not_steer_the_terminal(chat_directory: Path) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=400, force_terminal=True, color_system=None)
    record = json.dumps({"messages": [user("\x1b[8mhidden\r"), answer("\x9bK[red]\n")]}).encode()
    show_rendered(record, "hermes", chat_directory, ("assistant",), console)
    assert "user\n\\x1b[8mhidden\\x0d<|im_end|>" in shown.getvalue()
    assert "assistant\n\\x9bK[red]\n<|im_end|>" in shown.getvalue()


def test_a_directory_may_have_another_template_for_tools(
    chat_directory: Path, tmp_path: Path
) -> None:
    listed = [
        {"name": "default", "template": PLAIN},
        {"name": "tool_use", "template": "{{- tools[0] | tojson(indent=1) }}" + PLAIN},
    ]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": listed}))
    tokenizer = _rust_ext.Tokenizer.load(chat_directory)
    template = ChatTemplate(str(tmp_path), tokenizer, ("assistant",))
    record = {"messages": [user("a"), answer("b")], "tools": [{"name": "f<"}]}
    spans, _ = template.render(json.dumps(record).encode())
    tool = json.dumps({"type": "function", "function": {"name": "f<"}}, indent=1)
    assert spans[0] == (tool, False, False)
