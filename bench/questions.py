"""Questions for load: each has a stored form and one in other words, made of word lists."""

import itertools
import json

SUBJECTS = [
    "password",
    "invoice",
    "router",
    "passport",
    "mortgage",
    "bicycle",
    "keyboard",
    "garden",
    "violin",
    "printer",
    "kitchen",
    "contract",
    "library card",
    "tax return",
    "wedding dress",
    "server",
    "camera",
    "boat",
    "dentist appointment",
    "subscription",
]
KINDS = [
    "",
    "shared ",
    "second ",
    "wooden ",
    "private ",
    "broken ",
    "rented ",
    "heavy ",
    "foreign ",
    "spare ",
]
TASKS = [
    "renew",
    "repair",
    "cancel",
    "choose",
    "insure",
    "clean",
    "paint",
    "sell",
    "store",
    "replace",
    "measure",
    "ship",
    "label",
    "photograph",
    "inspect",
    "borrow",
    "donate",
    "weigh",
    "wrap",
    "register",
    "lock",
    "move",
    "rent",
    "upgrade",
    "describe",
    "value",
    "protect",
    "order",
    "return",
    "test",
    "open",
    "close",
    "carry",
    "compare",
    "document",
    "decorate",
    "lend",
    "hide",
    "find",
    "share",
    "schedule",
    "archive",
    "track",
    "scan",
    "sign",
    "split",
    "stack",
    "tune",
    "verify",
    "water",
]


def pairs(count):
    """(stored, asked in other words), at most 10,000, the same every time."""
    made = itertools.product(KINDS, TASKS, SUBJECTS)
    return [
        (f"How do I {task} a {kind}{subject}?", f"How can I {task} a {kind}{subject}?")
        for kind, task, subject in itertools.islice(made, count)
    ]


def new_question(number):
    """One that nothing is stored for, of about 12 word pieces."""
    task, subject = TASKS[number % len(TASKS)], SUBJECTS[number // len(TASKS) % len(SUBJECTS)]
    return f"Who may {task} the {subject} of house {number}?"


def chat(text):
    return json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]})


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines))
    return path
