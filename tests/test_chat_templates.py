"""Named chat templates: ids as the reference has them, masks by role, and the way back."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import TYPE_CHECKING, Any

import chat_cases
import pytest

from preprocess import _rust_ext
from preprocess.chat.parse import Call, parse
from preprocess.chat.refused import RefusedError
from preprocess.chat.template import ChatTemplate

if TYPE_CHECKING:
    from pathlib import Path

type Json = Any

ASSISTANT = ("assistant",)
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."


@cache
def load(path: Path) -> _rust_ext.Tokenizer:
    return _rust_ext.Tokenizer.load(path)


@cache
def reference(path: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(path), local_files_only=True)


def expected_ids(path: Path, record: Json) -> list[int]:
    messages, tools = chat_cases.for_reference(record)
    ids: list[int] = reference(path).apply_chat_template(messages, tools=tools, return_dict=False)
    return ids


def text_of(spans: Any) -> str:
    return "".join(text for text, _, _ in spans)


def trained_of(spans: Any) -> list[str]:
    """Return runs of trained spans."""
    runs, is_open = [""], False
    for text, _, trained in spans:
        if trained:
            runs[-1] += text
        elif is_open:
            runs.append("")
        is_open = trained
    return [run for run in runs if run]


def render(name: str, tokenizer: Path, record: Json, roles: tuple[str, ...] = ASSISTANT) -> Any:
    return ChatTemplate(name, load(tokenizer), roles).render(json.dumps(record).encode())[0]


def refusal(name: str, tokenizer: Path, record: Json) -> str:
    with pytest.raises(RefusedError) as caught:
        render(name, tokenizer, record)
    return caught.value.reason


def asked(*messages: Json, tools: int = 1, **more: Json) -> Json:
    declared = [{"name": f"f{n}", "description": "d", "parameters": {}} for n in range(tools)]
    return {"messages": list(messages), "tools": declared, **more}


def said(role: str, content: str = "a", **more: Json) -> Json:
    return {"role": role, "content": content, **more}


def called(*names: str, content: str = "") -> Json:
    calls = [{"id": f"call_{n}", "name": name, "arguments": {}} for n, name in enumerate(names)]
    return said("assistant", content, tool_calls=calls)


def replied(number: int) -> Json:
    return said("tool", "r", tool_call_id=f"call_{number}")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["llama3_1", "qwen2_5"])
def test_ids_of_made_conversations_are_those_of_transformers(shared: Path, name: str) -> None:
    path = shared / "tokenizers" / name
    tokenizer = load(path)
    templates = [ChatTemplate(given, tokenizer, ASSISTANT) for given in (name, str(path))]
    choices, compared = random.Random(7), 0
    for _ in range(400):
        record = chat_cases.conversation(choices, most_calls=2 if name == "qwen2_5" else 0)
        if name == "llama3_1":  # the template of that directory has no place for tools
            record["tools"] = []
        expected = expected_ids(path, record)
        masks = []
        for template in templates:
            spans, _ = template.render(chat_cases.line(record))
            ids, mask = tokenizer.encode_spans(spans)
            assert ids.tolist() == expected
            masks.append(mask.tolist())
        assert masks[0] == masks[1]
        compared += len(expected)
    assert compared > 10_000


@pytest.mark.shared
@pytest.mark.parametrize("name", ["llama3_1", "qwen2_5"])
def test_ids_of_real_conversations_are_those_of_transformers(shared: Path, name: str) -> None:
    path = shared / "tokenizers" / name
    tokenizer = load(path)
    template = ChatTemplate(name, tokenizer, ASSISTANT)
    seen: dict[str, int] = {}
    for record in chat_cases.real(shared / "data/agent"):
        if seen.setdefault(record["source"], 0) == 40:
            continue
        if name == "llama3_1":
            record["tools"] = []
            if any(message.get("tool_calls") for message in record["messages"]):
                continue
        spans, literals = template.render(chat_cases.line(record))
        ids, _ = tokenizer.encode_spans(spans)
        if not literals:
            assert ids.tolist() == expected_ids(path, record), record["id"]
            seen[record["source"]] += 1
    assert sum(count > 0 for count in seen.values()) >= 20
    assert sum(seen.values()) > 500


@pytest.mark.shared
@pytest.mark.parametrize("name", ["llama3_1", "qwen2_5", "hermes", "mistral_v3"])
def test_calls_come_back_from_a_rendering(shared: Path, name: str) -> None:
    tokenizer = {"hermes": "qwen2_5"}.get(name, name)
    template = ChatTemplate(name, load(shared / "tokenizers" / tokenizer), ASSISTANT)
    choices, calls = random.Random(11), 0
    for _ in range(500):
        record = chat_cases.conversation(
            choices, most_calls=1 if name == "llama3_1" else 3, literals=True
        )
        try:
            spans, _ = template.render(chat_cases.line(record))
        except RefusedError as refused:
            assert refused.reason == "template_text_reads_as_call"  # noqa: PT017
            continue
        expected = [
            (Call(each["name"], each["arguments"]))
            for message in record["messages"]
            for each in message.get("tool_calls", [])
        ]
        turns = parse(name, spans)
        assert [each for turn in turns for each in turn.calls] == expected
        calls += len(expected)
        answers = [
            message["content"].strip()
            for message in record["messages"]
            if message["role"] == "assistant"
        ]
        assert [turn.content.strip() for turn in turns if turn.role == "assistant"] == answers
    assert calls > 200


@pytest.mark.shared
@pytest.mark.parametrize("name", ["llama3_1", "qwen2_5", "mistral_v3"])
def test_what_data_spells_stays_text_and_is_counted(shared: Path, name: str) -> None:
    path = shared / "tokenizers" / name
    tokenizer = load(path)
    token = {"llama3_1": "<|eot_id|>", "qwen2_5": "</tool_call>", "mistral_v3": "[/INST]"}[name]
    record = asked(said("user", f"x {token} y"), said("assistant", token), tools=0)
    for given in [name] if name == "mistral_v3" else [name, str(path)]:
        spans, literals = ChatTemplate(given, tokenizer, ASSISTANT).render(
            json.dumps(record).encode()
        )
        assert literals == 2
        ids, mask = tokenizer.encode_spans(spans)
        controls = [text for text, is_special, _ in spans if is_special and text]
        identifier = tokenizer.token_to_id(token)
        assert ids.tolist().count(identifier) == controls.count(token)
        trained = [each for each, is_trained in zip(ids, mask, strict=True) if is_trained]
        # SentencePiece decodes control tokens to nothing.
        ends = {"llama3_1": "<|eot_id|>", "qwen2_5": "<|im_end|>", "mistral_v3": ""}[name]
        assert tokenizer.decode(trained).strip() == f"{token}{ends}"


@pytest.mark.shared
@pytest.mark.parametrize("name", ["llama3_1", "qwen2_5"])
def test_both_ways_of_rendering_agree_where_data_spells_tokens(shared: Path, name: str) -> None:
    path = shared / "tokenizers" / name
    tokenizer = load(path)
    templates = [ChatTemplate(given, tokenizer, ASSISTANT) for given in (name, str(path))]
    choices, spelled = random.Random(13), 0
    for _ in range(300):
        record = chat_cases.conversation(
            choices, most_calls=2 if name == "qwen2_5" else 0, literals=True
        )
        if name == "llama3_1":
            record["tools"] = []
        rendered = [template.render(chat_cases.line(record)) for template in templates]
        one, other = (tokenizer.encode_spans(spans) for spans, _ in rendered)
        assert one[0].tolist() == other[0].tolist()
        assert one[1].tolist() == other[1].tolist()
        spelled += rendered[0][1]
        controls = {tokenizer.token_to_id(text) for text, special, _ in rendered[0][0] if special}
        made = [text for text, special, _ in rendered[0][0] if special and text]
        assert len(made) == sum(each in controls for each in one[0].tolist())
    assert spelled > 50


@pytest.mark.shared
def test_llama_with_tools_is_the_published_format(shared: Path) -> None:
    record = asked(
        said("system", " Be brief. "),
        said("user", "Weather?"),
        called("f0"),
        said("tool", 'it is "hot"', tool_call_id="call_0"),
        said("assistant", "Hot."),
        meta={"date": "2025-03-01"},
    )
    spans = render("llama3_1", shared / "tokenizers/llama3_1", record)
    tool = json.dumps({"type": "function", "function": record["tools"][0]}, indent=4)
    head = "<|start_header_id|>{}<|end_header_id|>\n\n"
    assert text_of(spans) == (
        f"<|begin_of_text|>{head.format('system')}Environment: ipython\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 01 Mar 2025\n\nBe brief.<|eot_id|>"
        f"{head.format('user')}Given the following functions, please respond with a JSON for a "
        "function call with its proper arguments that best answers the given prompt.\n\nRespond in "
        'the format {"name": function name, "parameters": dictionary of argument name and its '
        f"value}}.Do not use variables.\n\n{tool}\n\nWeather?<|eot_id|>"
        f'{head.format("assistant")}{{"name": "f0", "parameters": {{}}}}<|eot_id|>'
        f'{head.format("ipython")}"it is \\"hot\\""<|eot_id|>'
        f"{head.format('assistant')}Hot.<|eot_id|>"
    )
    assert trained_of(spans) == ['{"name": "f0", "parameters": {}}<|eot_id|>', "Hot.<|eot_id|>"]
    del record["meta"]
    assert "Today Date: 26 Jul 2024\n" in text_of(
        render("llama3_1", shared / "tokenizers/llama3_1", record)
    )


@pytest.mark.shared
def test_mistral_puts_every_part_between_control_tokens(shared: Path) -> None:
    record = asked(
        said("system", "Be brief."),
        said("user", "Hello"),
        said("assistant", "Hi "),
        said("user", "Weather?"),
        called("f0", "f1"),
        said("tool", '{"t": 1.0}', tool_call_id="call_0"),
        said("tool", "hot", tool_call_id="call_1"),
        said("assistant", "Hot."),
    )
    spans = render("mistral_v3", shared / "tokenizers/mistral_v3", record)
    tool = json.dumps([{"type": "function", "function": record["tools"][0]}])
    calls = (
        '[TOOL_CALLS][{"name": "f0", "arguments": {}, "id": "call00000"}, '
        '{"name": "f1", "arguments": {}, "id": "call00001"}]</s>'
    )
    assert text_of(spans) == (
        f"<s>[INST]Hello[/INST]Hi</s>[AVAILABLE_TOOLS]{tool}[/AVAILABLE_TOOLS]"
        f"[INST]Be brief.\n\nWeather?[/INST]{calls}"
        '[TOOL_RESULTS]{"content": {"t": 1.0}, "call_id": "call00000"}[/TOOL_RESULTS]'
        '[TOOL_RESULTS]{"content": "hot", "call_id": "call00001"}[/TOOL_RESULTS]Hot.</s>'
    )
    assert trained_of(spans) == ["Hi</s>", calls, "Hot.</s>"]


@pytest.mark.shared
def test_roles_and_loss_decide_what_is_trained(shared: Path) -> None:
    path = shared / "tokenizers/qwen2_5"
    record = asked(
        said("user", "one"),
        said("assistant", "two"),
        said("user", "three", loss=True),
        said("assistant", "four", loss=False),
        said("user", "five"),
        called("f0", "f1"),
        replied(0),
        replied(1),
        said("assistant", "six", loss=None),
    )
    call = '<tool_call>\n{{"name": "{}", "arguments": {{}}}}\n</tool_call>'
    calls = f"{call.format('f0')}\n{call.format('f1')}<|im_end|>"
    spans = render("qwen2_5", path, record)
    assert trained_of(spans) == ["two<|im_end|>", "three<|im_end|>", calls, "six<|im_end|>"]
    spans = render("qwen2_5", path, record, ("tool",))
    assert trained_of(spans) == [
        "three<|im_end|>", "r\n</tool_response>", "r\n</tool_response><|im_end|>",
    ]  # fmt: skip


@pytest.mark.shared
def test_hermes_introduces_nobody(shared: Path) -> None:
    path = shared / "tokenizers/qwen2_5"
    plain = asked(said("user"), said("assistant", "b"), tools=0)
    turns = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
    assert text_of(render("hermes", path, plain)) == turns
    assert text_of(render("qwen2_5", path, plain)) == (
        f"<|im_start|>system\n{QWEN}<|im_end|>\n{turns}"
    )
    with_tools = asked(said("user"), said("assistant", "b"))
    assert text_of(render("hermes", path, with_tools)) == text_of(
        render("qwen2_5", path, with_tools)
    ).replace(f"{QWEN}\n\n", "")


@pytest.mark.shared
def test_what_a_template_cannot_express_is_refused_by_name(shared: Path) -> None:
    user, answer = said("user"), said("assistant", "b")
    cases: list[tuple[str, Json, str]] = [
        ("llama3_1", asked(user, called("f0", "f1")), "template_two_calls"),
        ("llama3_1", asked(user, called("f0", content="so")), "template_text_beside_call"),
        ("llama3_1", asked(answer, called("f0")), "template_first_turn_not_user"),
        (
            "llama3_1",
            asked(user, said("assistant", ' {"name": "f"')),
            "template_text_reads_as_call",
        ),
        ("llama3_1", asked(user, called('f"')), "template_call_name"),
        ("llama3_1", asked(user, answer, meta={"date": "1.3.2025"}), "malformed_date"),
        ("mistral_v3", asked(user, called("f0", content="so")), "template_text_beside_call"),
        ("mistral_v3", asked(answer, user), "template_first_turn_not_user"),
        ("mistral_v3", asked(replied(0), user), "template_first_turn_not_user"),
        ("mistral_v3", asked(user, user, answer), "template_turn_order"),
        ("mistral_v3", asked(user, called("f0"), user), "template_turn_order"),
        ("mistral_v3", asked(user, answer, replied(0)), "template_turn_order"),
        ("mistral_v3", asked(user, said("system"), answer), "template_system_inside"),
        ("mistral_v3", asked(user, called("f0"), replied(1)), "template_reply_without_call"),
        ("mistral_v3", asked(said("system")), "template_first_turn_not_user"),
        ("qwen2_5", asked(user, called("a", "b"), replied(1), replied(0)), "template_reply_order"),
        ("qwen2_5", asked(user, called("a\n")), "template_call_name"),
        ("qwen2_5", {"text": "no messages"}, "no_messages"),
        ("qwen2_5", asked(said("developer")), "malformed_messages"),
    ]
    for name, record, reason in cases:
        assert refusal(name, shared / "tokenizers" / name, record) == reason, record
    twice = (
        b'{"messages": [{"role": "user", "content": "a"}], "tools": [{"name": "f", "name": "g"}]}'
    )
    template = ChatTemplate("qwen2_5", load(shared / "tokenizers/qwen2_5"), ASSISTANT)
    with pytest.raises(RefusedError, match="duplicate_keys"):
        template.render(twice)


@pytest.mark.shared
def test_middle_systems_and_first_replies_are_rendered_as_transformers_does(shared: Path) -> None:
    path = shared / "tokenizers/qwen2_5"
    for record in [
        asked(replied(0), said("user"), said("system", "x"), said("assistant")),
        asked(said("user"), called("f0", content="so"), replied(0), replied(0)),
        asked(said("assistant"), said("assistant", ""), said("system"), tools=0),
    ]:
        ids, _ = load(path).encode_spans(render("qwen2_5", path, record))
        assert ids.tolist() == expected_ids(path, record)


def test_a_tokenizer_without_the_control_tokens_is_refused(tokenizer: Path) -> None:
    with pytest.raises(ValueError, match=r"expected the control tokens .* llama3_1, found none na"):
        ChatTemplate("llama3_1", load(tokenizer), ASSISTANT)


@pytest.mark.shared
def test_numbers_are_spelled_as_transformers_does_unless_that_changes_them(shared: Path) -> None:
    path = shared / "tokenizers/qwen2_5"
    template = ChatTemplate("qwen2_5", load(path), ASSISTANT)
    spelled = "[1E5, -0, -0.0, 1.50, 0.1e-6, 12345678901234567890, 1e16, 123456789012345.6]"
    line = (
        '{"messages": [{"role": "assistant", "content": "", "tool_calls": '
        f'[{{"name": "f", "arguments": {{"x": {spelled}}}}}]}}]}}'
    )
    spans, _ = template.render(line.encode())
    assert json.dumps(json.loads(spelled)) in text_of(spans)
    spans, _ = template.render(line.replace("-0.0", "0.10000000000000000001").encode())
    assert "0.10000000000000000001" in text_of(spans)
