"""Function-calling sets of ../shared as records with messages, for tests alone.

Each set becomes what a reader would make of it, roughly: system prompt, tools, what was said and
called. The text is what a template makes of all that, so most of it is alike within a set.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

type Json = Any
type Conversation = tuple[list[Json], list[Json]]
"""Messages and tools."""

SYSTEM = (
    "You are an assistant with access to functions. Think step by step, call the functions that "
    "help to answer the request, with arguments that fit their schemas, and say so where none of "
    "them does. Functions that you may call stand below, one JSON object each."
)
ROLES = {
    "human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool",
    "User": "user", "AI": "assistant", "agent": "assistant", "function": "tool",
}  # fmt: skip


def records(directory: Path) -> Iterator[Json]:
    """Yield the records of all sets, set by set, in the order of their files."""
    for source, (pattern, convert) in SETS.items():
        for path in sorted(directory.glob(pattern)):
            if path.stat().st_size == 0:
                continue
            for number, (messages, tools) in enumerate(convert(path)):
                yield record(
                    source, f"{source}/{path.relative_to(directory)}#{number}", messages, tools
                )


def record(source: str, identifier: str, messages: list[Json], tools: list[Json]) -> Json:
    """Return a record whose text is rendered from the rest."""
    if not any(each["role"] == "system" for each in messages):
        messages = [{"role": "system", "content": SYSTEM}, *messages]
    return {
        "id": identifier,
        "text": render(messages, tools),
        "kind": "function_call",
        "source": source,
        "tools": tools,
        "messages": messages,
    }


def render(messages: list[Json], tools: list[Json]) -> str:
    parts = ["<|tools|>", *(json.dumps(tool, ensure_ascii=False) for tool in tools)]
    for message in messages:
        parts += [f"<|{message['role']}|>", str(message.get("content") or "")]
        calls = message.get("tool_calls", [])
        parts += [f"<call>{json.dumps(call, ensure_ascii=False)}</call>" for call in calls]
    return "\n".join([*parts, "<|end|>"])


def load(path: Path) -> list[Json]:
    """Return the elements of a JSON array or object, or of JSON lines."""
    content = path.read_text(encoding="utf-8")
    try:
        parsed = json.loads(content)
    except json.JSONDecodeError:
        return [json.loads(line) for line in content.splitlines() if line.strip()]
    if isinstance(parsed, list):
        return parsed
    return [parsed] if "messages" in parsed or "role" in parsed else list(parsed.values())


def user(content: str) -> Json:
    return {"role": "user", "content": content}


def called(*calls: tuple[str, Json]) -> Json:
    made = [{"id": f"call_{n}", "name": name, "arguments": a} for n, (name, a) in enumerate(calls)]
    return {"role": "assistant", "content": "", "tool_calls": made}


def turns(conversation: list[Json]) -> list[Json]:
    """Return turns in whatever spelling, calls among them taken apart where they parse."""
    messages = []
    for turn in conversation:
        role = turn.get("from") or turn.get("role")
        content = turn["value"] if "value" in turn else turn.get("content", turn.get("text"))
        message: Json = {"role": ROLES.get(role, role), "content": content}
        if role == "function_call":
            try:
                call = json.loads(content)
                message = called((call["name"], call["arguments"]))
            except (ValueError, KeyError, TypeError):
                pass
        if call := turn.get("function_call"):  # as text: a string of JSON
            message["tool_calls"] = [{"function": {k: call[k] for k in ("name", "arguments")}}]
        messages.append(message)
    return messages


def conversations(path: Path) -> Iterator[Conversation]:
    for each in load(path):
        said = next(
            (each[k] for k in ("messages", "conversations", "conversation") if each.get(k)), None
        )
        tools = each.get("tools") or []
        if said:
            yield turns(said), json.loads(tools) if isinstance(tools, str) else tools


def query_answers(path: Path) -> Iterator[Conversation]:
    """Of Hammer, xLAM and BFCL: a query or a conversation, tools, calls."""
    for each in load(path):
        query = each.get("query", each.get("question"))
        if isinstance(query, list):
            said = turns(query[0] if isinstance(query[0], list) else query)
        else:
            said = [user(query)]
        tools = each.get("tools") or each.get("function") or []
        tools = json.loads(tools) if isinstance(tools, str) else tools
        answers = each.get("answers") or []
        answers = json.loads(answers) if isinstance(answers, str) else answers
        calls = [
            (a.get("name") or a["tool"], a.get("arguments", a.get("parameters"))) for a in answers
        ]
        text = each.get("model_answer") or each.get("human_eval_answer") or each.get("reference")
        messages = [*said, called(*calls)] if calls else said
        if text:
            messages.append({"role": "assistant", "content": text})
        yield messages, tools if isinstance(tools, list) else [tools]


def bfcl(path: Path) -> Iterator[Conversation]:
    answers = path.parent / "possible_answer" / path.name
    truth = {a["id"]: a["ground_truth"] for a in load(answers)} if answers.exists() else {}
    for each in load(path):
        messages: list[Json] = []
        steps = truth.get(each["id"], [])
        for number, turn in enumerate(each["question"]):
            messages += turns(turn)
            if number < len(steps) and isinstance(steps[number], list):
                content = "\n".join(map(str, steps[number]))
                messages.append({"role": "assistant", "content": content})
        calls = [(name, a) for step in steps if isinstance(step, dict) for name, a in step.items()]
        yield [*messages, called(*calls)] if calls else messages, each.get("function", [])


def tool_llama(path: Path) -> Iterator[Conversation]:
    """The longest chain of a ToolBench answer."""
    answer = json.loads(path.read_text(encoding="utf-8"))["answer_generation"]
    if chains := answer.get("train_messages"):
        yield turns(chains[-1]), answer["function"]


def queries(path: Path) -> Iterator[Conversation]:
    """Of ToolBench: a query and the interfaces for it, or the tools of an evaluation."""
    for each in load(path):
        query = each.get("query") or each.get("user_request")
        if query:
            yield [user(query)], each.get("api_list") or each.get("available_tools") or []


def tool_alpaca(path: Path) -> Iterator[Conversation]:
    for api in load(path):
        for number, instruction in enumerate(api.get("Instructions", [])):
            golden = api.get("Golden_Answers", [])
            calls = [(c["Action"], c["Action_Input"]) for c in golden[number]] if golden else []
            yield (
                [user(instruction), *([called(*calls)] if calls else [])],
                [api["NLDocumentation"]],
            )


def raven_alpaca(path: Path) -> Iterator[Conversation]:
    for each in load(path):
        for turn in each.values():
            answer = {"role": "assistant", "content": turn["golden_answer"]}
            yield [user(turn["instruction"]), answer], [turn["docstring"]]


def raven_llm(path: Path) -> Iterator[Conversation]:
    for each in load(path):
        answer = {"role": "assistant", "content": each["Output"]}
        yield [user(each["Input"]), answer], each["context"]


def api_bank(path: Path) -> Iterator[Conversation]:
    messages: list[Json] = []
    for turn in load(path):
        if turn["role"] == "API":
            messages.append(called((turn["api_name"], turn["param_dict"])))
            result = json.dumps(turn["result"], ensure_ascii=False)
            messages.append({"role": "tool", "content": result})
        else:
            messages += turns([turn])
    yield messages, []


def prompts(path: Path) -> Iterator[Conversation]:
    """Of Hammer's own layout: the query stands last in one long prompt."""
    for each in load(path):
        template, _, query = each["instruction"].partition("[BEGIN OF QUERY]")
        answer = {"role": "assistant", "content": each["output"]}
        yield [{"role": "system", "content": template}, user(query), answer], []


def instructions(path: Path) -> Iterator[Conversation]:
    """Of APIBench and API Pack: instruction and output in one text."""
    for each in load(path):
        if code := each.get("code"):
            question, _, answer = code.partition("###Output")
            yield [user(question), {"role": "assistant", "content": answer}], [each["api_data"]]


SETS: dict[str, tuple[str, Callable[[Path], Iterator[Conversation]]]] = {
    "glaive": ("glaive/data/*.json*", conversations),
    "hammer": ("hammer_eval/data/test/original/*.json", query_answers),
    "hammer_prompts": ("agentohana_xlam/hammer/data/*/**/*.json", prompts),
    "xlam": ("agentohana_xlam/unified_record_restored.json", conversations),
    "apigen": ("apigen_xlam60k/*.json", query_answers),
    "openfunctions": ("openfunctions/openfunctions-v1/*.json", query_answers),
    "openfunctions_board": ("openfunctions/bfcl_v1_2024-02/*.json", query_answers),
    "bfcl": ("bfcl_v3/data/BFCL_v3_*.json", bfcl),
    "nexusraven": ("nexusraven/raven/data/resources/[cev]*_queries.json", query_answers),
    "nexusraven_alpaca": ("nexusraven/raven/data/resources/toolalpaca_queries.json", raven_alpaca),
    "nexusraven_llm": ("nexusraven/raven/data/resources/toolllm_queries.json", raven_llm),
    "toolalpaca": ("toolalpaca/data/[ev]*.json", tool_alpaca),
    "toolbench": ("toolbench/data_example/answer/*/*.json", tool_llama),
    "toolbench_queries": ("toolbench/data_example/instruction/*.json", queries),
    "tooleval": ("toolbench/tooleval_results/*/*.json", queries),
    "stabletoolbench": ("stabletoolbench/solvable_queries/*/*.json", queries),
    "stabletoolbench_answers": ("stabletoolbench/data_example/answer/*/*/*.json", tool_llama),
    "api_bank": ("api_bank/lv1-lv2-samples/*/*.jsonl", api_bank),
    "taskbench": ("taskbench/*/user_requests.json", queries),
    "metatool": ("metatool/dataset/data/multi_tool_query_golden.json", queries),
    "apibench": ("gorilla_apibench/data/apibench/*.json", instructions),
    "api_pack": ("api_pack/src/data/output/final_dataset_custom/**/*.json", instructions),
    "fireact": ("fireact/finetune/gpt_format/*.jsonl", conversations),
    "agenttraj": ("agenttraj_l/agentenv/**/webshop_fncall.jsonl", conversations),
    "lumos": ("lumos/*.jsonl", conversations),
    "agent_flan": ("agent_flan/*.jsonl", conversations),
    "agentinstruct": ("agentinstruct/restored_hf_keys.jsonl", conversations),
    "adp": ("adp_samples/*/sample_raw.json", conversations),
}
"""Source -> its files, and what reads one."""
