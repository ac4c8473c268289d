"""Event streams: reading them from a response, and putting their chunks together again."""

import copy
import json


def events_of(response) -> list:
    """The data of every event of a requests response, JSON decoded; "[DONE]" stays text."""
    events = []
    for block in response.content.decode("utf-8").replace("\r\n", "\n").split("\n\n"):
        lines = [line[5:].lstrip() for line in block.split("\n") if line.startswith("data:")]
        if lines:
            data = "\n".join(lines)
            events.append(data if data == "[DONE]" else json.loads(data))
    return events


def merge_delta(message: dict, delta: dict) -> None:
    """What a client does with one delta: texts are appended, tool calls by their index, the rest is set."""
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for part in value:
                while len(calls) <= part["index"]:
                    calls.append({})
                merge_call(calls[part["index"]], part)
        elif name != "role" and isinstance(value, str) and isinstance(message.get(name), str):
            message[name] += value
        else:
            message[name] = value


def merge_call(call: dict, part: dict) -> None:
    for name, value in part.items():
        if name == "function":
            function = call.setdefault("function", {"name": "", "arguments": ""})
            for field, text in value.items():
                function[field] = function.get(field, "") + text
        elif name != "index":
            call[name] = value


def reassemble(events: list) -> dict:
    """The chat completion that the chunks describe."""
    answer: dict = {}
    choices: dict[int, dict] = {}
    for event in events:
        if event == "[DONE]":
            break
        for name, value in event.items():
            if name == "choices" or (name == "usage" and value is None):
                continue
            answer[name] = copy.deepcopy(value)
        for part in event["choices"]:
            choice = choices.setdefault(part["index"], {"index": part["index"], "message": {}})
            merge_delta(choice["message"], part.get("delta", {}))
            if part.get("finish_reason"):
                choice["finish_reason"] = part["finish_reason"]
            if part.get("logprobs"):
                rows = choice.setdefault("logprobs", {"content": [], "refusal": None})
                rows["content"] += part["logprobs"].get("content") or []
    answer["object"] = "chat.completion"
    answer["choices"] = [choices[index] for index in sorted(choices)]
    return answer


def without_identity(answer: dict) -> dict:
    """An answer less what every replay makes afresh, and less absent optional fields."""
    answer = copy.deepcopy(answer)
    for name in ("id", "created"):
        answer.pop(name, None)
    for choice in answer.get("choices", []):
        if choice.get("logprobs") is None:
            choice.pop("logprobs", None)
        message = choice.get("message", {})
        for name in [name for name, value in message.items() if value is None]:
            del message[name]
    return answer
