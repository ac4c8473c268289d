"""How the stand-in should behave for one request, and where it is told so.

Three ways, later ones win:
  - rules sent to POST /control/rules: {"match": "words of the prompt", "times": 2, ...settings};
  - words in the prompt: [[status=500 retry_after=1]];
  - the request header X-Standin: status=500; delay=0.2.
"""

import dataclasses
import json
import re

WORDS = re.compile(r"\[\[(.*?)\]\]")


@dataclasses.dataclass
class Behaviour:
    """Every field is one way of being an ordinary, slow, unusual or broken provider."""

    status: int = 200
    message: str = "the stand-in was told to fail"
    retry_after: str = ""
    delay: float = 0              # seconds before the head
    first_byte_delay: float = 0   # seconds between head and first body byte
    chunk_delay: float = 0        # seconds between two events
    answer: str = ""              # assistant text; empty: made from the question
    finish_reason: str = ""       # instead of stop / tool_calls
    tools: int = 0                # parallel tool calls instead of text
    reasoning: str = ""           # reasoning_content before the text
    refusal: str = ""             # instead of text
    extra: dict = dataclasses.field(default_factory=dict)    # unknown fields of answer and message
    headers: dict = dataclasses.field(default_factory=dict)  # more response headers
    encoding: str = ""            # gzip, deflate, br, zstd
    malformed: str = ""           # json, html, empty, head, chunk, sse, length
    cut_events: int = -1          # abort the connection after so many events
    cut_bytes: int = -1           # abort the connection after so many body bytes
    gate: str = ""                # wait for POST /control/open/NAME ...
    gate_events: int = 1          # ... after so many events (or before the body of a JSON answer)
    piece_bytes: int = 0          # write the event stream in pieces of so many bytes
    line_end: str = "\n"          # of the event stream
    comments: bool = False        # ": keep-alive" lines between events
    no_done: bool = False         # end the stream without [DONE]
    no_usage: bool = False        # an old provider that reports no usage
    close: bool = False           # Connection: close

    def apply(self, settings: dict) -> None:
        known = {field.name for field in dataclasses.fields(self)}
        for name, value in settings.items():
            if name not in known:
                raise ValueError(f"the stand-in has no behaviour {name}")
            setattr(self, name, value)


def parse_words(text: str, separator: str | None = None) -> dict:
    """"a=1 b=x" as {"a": 1, "b": "x"}: JSON where it parses, text where not."""
    settings = {}
    for word in text.split(separator):
        name, _, value = word.strip().partition("=")
        if not name:
            continue
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value if value else True
    return settings


class Rules:
    """What POST /control/rules has set."""

    def __init__(self):
        self._rules: list[dict] = []

    def clear(self) -> None:
        self._rules.clear()

    def add(self, rule: dict) -> None:
        Behaviour().apply({k: v for k, v in rule.items() if k not in ("match", "times")})
        self._rules.append(dict(rule))

    def behaviour(self, prompt: str, header: str) -> Behaviour:
        behaviour = Behaviour()
        for rule in self._rules:
            if rule.get("match", "") not in prompt or rule.get("times") == 0:
                continue
            if "times" in rule:
                rule["times"] -= 1
            behaviour.apply({k: v for k, v in rule.items() if k not in ("match", "times")})
        for words in WORDS.findall(prompt):
            behaviour.apply(parse_words(words))
        if header:
            behaviour.apply(parse_words(header, ";"))
        return behaviour
