"""Answers of the stand-in in OpenAI's form: one canonical JSON answer, and the same as a stream.

The stream is made from the JSON answer, so the two can never disagree: a test may reassemble one and
compare it with the other field for field.
"""

import base64
import hashlib
import json
import pathlib
import re
import struct
import time

PAIRS = json.loads((pathlib.Path(__file__).parent / "pairs.json").read_text(encoding="utf-8"))["pairs"]
KNOWN = {question: pair["answer"] for pair in PAIRS for question in pair["questions"]}
TOKEN = re.compile(r"\s*\S+|\s+")


def text_of(content) -> str:
    """Text of a message: a string or a list of parts."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def question_of(body: dict) -> str:
    """The newest text the caller sent, in any of the dialects."""
    messages = body.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        return text_of(messages[-1].get("content"))
    prompt = body.get("prompt", body.get("input", ""))
    return prompt if isinstance(prompt, str) else json.dumps(prompt)


def tokens_of(text: str) -> list[str]:
    return TOKEN.findall(text)


def usage_of(body: dict, choices: list[dict]) -> dict:
    spent = sum(len(tokens_of(json.dumps(choice))) for choice in choices)
    asked = len(tokens_of(json.dumps(body)))
    return {"prompt_tokens": asked, "completion_tokens": spent, "total_tokens": asked + spent,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0}}


def logprobs_of(text: str) -> list[dict]:
    rows = []
    for number, token in enumerate(tokens_of(text)):
        raw = list(token.encode())
        row = {"token": token, "logprob": -0.125 * (number % 7 + 1), "bytes": raw}
        row["top_logprobs"] = [dict(row), {"token": token.upper(), "logprob": -4.5, "bytes": None}]
        rows.append(row)
    return rows


def tool_calls_of(count: int, question: str) -> list[dict]:
    return [{"id": f"call_{number}", "type": "function",
             "function": {"name": f"look_up_{number}",
                          "arguments": json.dumps({"question": question, "number": number})}}
            for number in range(count)]


def chat_choice(index: int, body: dict, call: int, behaviour) -> dict:
    question = question_of(body)
    text = behaviour.answer or KNOWN.get(question) or f"answer #{call} to: {question}"
    if index:
        text += f" (choice {index})"
    message = {"role": "assistant", "content": text, **behaviour.extra.get("message", {})}
    finish = "stop"
    if behaviour.reasoning:
        message["reasoning_content"] = behaviour.reasoning
    if behaviour.refusal:
        message.update(content=None, refusal=behaviour.refusal)
    if behaviour.tools:
        message.update(content=None, tool_calls=tool_calls_of(behaviour.tools, question))
        finish = "tool_calls"
    choice = {"index": index, "message": message, "finish_reason": behaviour.finish_reason or finish}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": logprobs_of(message["content"] or ""), "refusal": None}
    return choice


def chat_answer(body: dict, call: int, behaviour) -> dict:
    choices = [chat_choice(index, body, call, behaviour) for index in range(int(body.get("n") or 1))]
    answer = {"id": f"chatcmpl-{call}", "object": "chat.completion", "created": int(time.time()),
              "model": body.get("model"), "system_fingerprint": "fp_standin", "choices": choices}
    if not behaviour.no_usage:
        answer["usage"] = usage_of(body, choices)
    answer.update(behaviour.extra.get("answer", {}))
    return answer


def completion_answer(body: dict, call: int, behaviour) -> dict:
    prompts = body.get("prompt")
    text = behaviour.answer or KNOWN.get(question_of(body)) or f"answer #{call} to: {question_of(body)}"
    count = int(body.get("n") or 1) * (len(prompts) if isinstance(prompts, list) else 1)
    choices = [{"index": index, "text": text + (f" (choice {index})" if index else ""), "logprobs": None,
                "finish_reason": behaviour.finish_reason or "stop"} for index in range(count)]
    answer = {"id": f"cmpl-{call}", "object": "text_completion", "created": int(time.time()),
              "model": body.get("model"), "choices": choices}
    if not behaviour.no_usage:
        answer["usage"] = usage_of(body, choices)
    return answer


def vector_of(text: str) -> list[float]:
    return [byte / 255 - 0.5 for byte in hashlib.sha256(text.encode()).digest()[:8]]


def embeddings_answer(body: dict) -> dict:
    given = body.get("input")
    texts = given if isinstance(given, list) else [given]
    rows = []
    for index, text in enumerate(texts):
        vector = vector_of(json.dumps(text))
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": vector})
    return {"object": "list", "model": body.get("model"), "data": rows,
            "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)}}


def text_deltas(field: str, text: str) -> list[dict]:
    return [{field: token} for token in tokens_of(text)]


def message_deltas(message: dict) -> list[dict]:
    """The deltas that reassemble to `message`."""
    known = ("role", "content", "reasoning_content", "refusal", "tool_calls")
    first = {"role": "assistant", "content": "" if message.get("content") is not None else None}
    deltas = [{**first, **{name: value for name, value in message.items() if name not in known}}]
    deltas += text_deltas("reasoning_content", message.get("reasoning_content") or "")
    deltas += text_deltas("content", message.get("content") or "")
    deltas += text_deltas("refusal", message.get("refusal") or "")
    for index, call in enumerate(message.get("tool_calls") or []):
        function = call["function"]
        deltas.append({"tool_calls": [{"index": index, "id": call["id"], "type": "function",
                                       "function": {"name": function["name"], "arguments": ""}}]})
        for token in tokens_of(function["arguments"]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": token}}]})
    return deltas


def choice_events(choice: dict) -> list[dict]:
    """Chunks of one choice, the finish last; a content token carries its own logprob."""
    rows = iter((choice.get("logprobs") or {}).get("content") or [])
    events = []
    for delta in message_deltas(choice["message"]):
        event = {"index": choice["index"], "delta": delta, "finish_reason": None}
        if choice.get("logprobs") and delta.get("content"):
            event["logprobs"] = {"content": [next(rows)], "refusal": None}
        events.append(event)
    events.append({"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]})
    return events


def interleave(lists: list[list]) -> list:
    """Round robin over the choices, as providers send them."""
    longest = max(map(len, lists), default=0)
    return [one[position] for position in range(longest) for one in lists if position < len(one)]


def chat_events(answer: dict, include_usage: bool) -> list[dict]:
    base = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    base["object"] = "chat.completion.chunk"
    choices = interleave([choice_events(choice) for choice in answer["choices"]])
    events = [{**base, "choices": [choice]} for choice in choices]
    if include_usage and "usage" in answer:
        events = [{**event, "usage": None} for event in events]
        events.append({**base, "choices": [], "usage": answer["usage"]})
    return events


def completion_events(answer: dict, include_usage: bool) -> list[dict]:
    base = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    per_choice = []
    for choice in answer["choices"]:
        rows = [{**choice, "text": token, "finish_reason": None} for token in tokens_of(choice["text"])]
        rows.append({**choice, "text": ""})
        per_choice.append(rows)
    events = [{**base, "choices": [row]} for row in interleave(per_choice)]
    if include_usage and "usage" in answer:
        events.append({**base, "choices": [], "usage": answer["usage"]})
    return events
