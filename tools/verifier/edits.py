"""Rule-made pairs: one edit of a text that changes the answer (0) or does not (1).

Every rule is a function (text, rng, pool) -> edited text or None.
"""

import re

from .edit_words import (
    AUX,
    CONTRACTIONS,
    FILLERS_SAFE,
    MODIFIERS,
    PHRASES,
    STOP,
    TABLES,
    TAILS,
    WHO,
    WRAPPERS,
    table,
)

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9'+#.-]*[A-Za-z0-9+#]|[A-Za-z0-9]")


def like(word, new):
    """`new` in the capitals of `word`."""
    if word.isupper() and len(word) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if word[:1].isupper() else new


def spans(text):
    return [(m.start(), m.end(), m.group()) for m in WORD.finditer(text)]


def put(text, start, end, new):
    return text[:start] + new + text[end:]


def by_table(name):
    words = TABLES[name]

    def rule(text, rng, pool):
        found = [s for s in spans(text) if s[2].lower() in words]
        if not found:
            return None
        start, end, word = rng.choice(found)
        return put(text, start, end, like(word, rng.choice(words[word.lower()])))

    return rule


def number(text, rng, pool):
    found = list(re.finditer(r"\d+", text))
    if not found:
        return None
    match = rng.choice(found)
    value, digits = int(match.group()[:9]), len(match.group()[:9])
    step = rng.choice([1, 1, -1, 2, 5, -2, 10, 100, rng.randint(1, 10**digits)])
    new = str(abs(value + step))
    if digits > 1 and rng.random() < 0.25:
        place = rng.randrange(digits)
        new = match.group()[:place] + str(rng.randint(0, 9)) + match.group()[place + 1 :]
    if rng.random() < 0.1:
        new = match.group() + rng.choice(["0", "00", "1", ".5"])
    return put(text, match.start(), match.end(), new)


def negation(text, rng, pool):
    low = text.lower()
    if re.search(r"\bnot\b|n't\b", low) and rng.random() < 0.7:
        return re.sub(r"(?i)\s+not\b|(?<=[a-z])n't\b", "", text, count=1)
    found = [s for s in spans(text) if s[2].lower() in AUX]
    if not found:
        return None
    start, end, word = found[0] if rng.random() < 0.7 else rng.choice(found)
    style = rng.random()
    if style < 0.4 and word.lower() not in ("can", "will", "am"):
        return put(text, start, end, word + "n't")
    rest = spans(text[end:])
    if style < 0.7 and len(rest) > 1:
        place = end + rest[0][1] if text[:start].strip() == "" else end
        return put(text, place, place, " not")
    return put(text, end, end, " not" if style < 0.9 else " never")


def content(text):
    return [s for s in spans(text) if s[2].lower() not in STOP and len(s[2]) > 2]


def names(text):
    return [s for s in spans(text) if s[0] > 0 and s[2][0].isupper() and s[2].lower() not in STOP]


def name(text, rng, pool):
    """A name swapped with another name of the same corpus."""
    found = names(text)
    if not found or not pool.names:
        return None
    start, end, word = rng.choice(found)
    new = rng.choice(pool.names)
    return None if new.lower() == word.lower() else put(text, start, end, new)


def exchange(text, rng, pool):
    """Two names or two content words exchanged, as PAWS does."""
    found = names(text)
    if len(found) < 2 or rng.random() < 0.3:
        found = content(text)
    if len(found) < 2:
        return None
    i = rng.randrange(len(found) - 1)
    left, right = found[i], rng.choice(found[i + 1 : i + 4])
    if left[2].lower() == right[2].lower():
        return None
    joint = text[left[1] : right[0]].lower().strip()
    if joint in ("", "and", "or", ",", "vs", "versus", "&", "/") or " between " in f" {text.lower()} ":
        return None
    return text[: left[0]] + right[2] + text[left[1] : right[0]] + left[2] + text[right[1] :]


def ending(word):
    for suffix in ("ing", "ed", "ly", "ion", "er", "ies", "s"):
        if word.endswith(suffix):
            return suffix
    return ""


def neighbour_word(text, rng, pool):
    """A content word replaced by a like one out of a near neighbour of the text."""
    others = pool.neighbours.get(text)
    if not others:
        return None
    other = rng.choice(others)
    mine = {s[2].lower() for s in spans(text)}
    theirs = {s[2].lower() for s in spans(other)}
    gone = [s for s in content(text) if s[2].lower() not in theirs]
    come = [s[2] for s in content(other) if s[2].lower() not in mine]
    pairs = [
        (g, c)
        for g in gone
        for c in come
        if g[2][0].isupper() == c[0].isupper()
        and ending(g[2].lower()) == ending(c.lower())
        and g[2].lower()[:4] != c.lower()[:4]
    ]
    if not pairs:
        return None
    (start, end, _), new = rng.choice(pairs)
    return put(text, start, end, new)


def corpus_word(text, rng, pool):
    """A content word replaced by a random one of the corpus with the same ending."""
    found = [s for s in content(text) if s[2].islower()]
    if not found:
        return None
    start, end, word = rng.choice(found)
    choices = pool.words.get(ending(word))
    if not choices:
        return None
    new = rng.choice(choices)
    return None if new[:4] == word[:4] else put(text, start, end, new)


def modifier(text, rng, pool):
    found = content(text)
    if not found:
        return None
    if rng.random() < 0.5:
        tail = rng.choice(TAILS)
        if not tail or tail in text.lower():
            return None
        cut = re.search(r"[?.! ]*$", text).start()
        return text[:cut] + " " + tail + text[cut:]
    start = rng.choice(found)[0]
    return put(text, start, start, rng.choice(MODIFIERS) + " ")


def dropped_word(text, rng, pool):
    """A content word that restricts the question left out."""
    found = content(text)
    if len(found) < 3:
        return None
    start, end, _ = rng.choice(found[:-1])
    return re.sub(r"\s+", " ", text[:start] + text[end:]).strip()


def question_word(text, rng, pool):
    words = table(WHO)
    found = [s for s in spans(text)[:1] if s[2].lower() in words]
    if not found:
        return None
    start, end, word = found[0]
    return put(text, start, end, like(word, rng.choice(words[word.lower()])))


def typo(text, rng, pool):
    found = [s for s in spans(text) if len(s[2]) > 4 and s[2].isalpha()]
    if not found:
        return None
    for start, end, word in rng.sample(found, min(len(found), rng.choice([1, 1, 2]))):
        i = rng.randrange(1, len(word) - 2)
        new = rng.choice(
            [
                word[:i] + word[i + 1] + word[i] + word[i + 2 :],
                word[:i] + word[i + 1 :],
                word[:i] + word[i] + word[i:],
                word[:i] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[i + 1 :],
            ]
        )
        if word.lower() in pool.known or new.lower() in pool.known:
            if new.lower() in pool.known:
                continue
        text = text[:start] + new + text[end:] if text[start:end] == word else text
    return text


def replace_phrase(table_rows):
    def rule(text, rng, pool):
        rows = [(a, b) for x, y in table_rows for a, b in ((x, y), (y, x))]
        rng.shuffle(rows)
        for left, right in rows:
            match = re.search(rf"(?i)\b{re.escape(left)}\b", text)
            if match and (left not in ("list", "which", "help", "number") or match.start() == 0):
                return put(text, match.start(), match.end(), like(match.group(), right))
        return None

    return rule


def casing(text, rng, pool):
    return rng.choice([text.lower(), text.upper(), text.title(), text.capitalize(), text.swapcase()])


def punctuation(text, rng, pool):
    bare = text.rstrip("?.! ")
    return rng.choice(
        [
            bare,
            bare + "?",
            bare + " ?",
            bare + "??",
            bare + ".",
            bare + "?!",
            f'"{text}"',
            re.sub(r"[,;:]", "", bare),
            "  " + bare,
        ]
    )


def wrapper(text, rng, pool):
    low = text[:1].lower() + text[1:] if not text[:2].isupper() else text
    return rng.choice(WRAPPERS).format(low.rstrip("?.! ") if rng.random() < 0.5 else low)


def articles(text, rng, pool):
    new = re.sub(r"(?i)\b(the|a|an) ", "", text, count=rng.choice([0, 1, 2]))
    return new[:1].upper() + new[1:] if text[:1].isupper() else new


def filler(text, rng, pool):
    found = [s for s in spans(text) if s[2].lower() in AUX]
    if not found or len(spans(text)) < 4:
        return None
    end = spans(text)[min(2, len(spans(text)) - 1)][1]
    return put(text, end, end, " " + rng.choice(FILLERS_SAFE))


def list_order(text, rng, pool):
    """ "A and B" read as "B and A": the same request when nothing else depends on the order."""
    match = re.search(r"\b([A-Z][\w-]+) (and|or) ([A-Z][\w-]+)\b", text)
    if not match:
        return None
    return put(text, match.start(), match.end(), f"{match[3]} {match[2]} {match[1]}")


PLACE = r"((?:[\w.'-]+ ){0,2}?[\w.'-]+)"
PLACE_END = (
    r"(?= (?:on|in|with|for|at|and|that|by|before|after|via|is|are|leaves|leaving|arrives|arriving|using"
    r"|serves|stopping|stops)\b|[,?.!]|$)"
)
ROUTE = re.compile(rf"(?i)\bfrom {PLACE} to {PLACE}{PLACE_END}")
BETWEEN = re.compile(rf"(?i)\bbetween {PLACE} and {PLACE}{PLACE_END}")


def route_reversed(text, rng, pool):
    match = ROUTE.search(text)
    return match and put(text, match.start(), match.end(), f"from {match[2]} to {match[1]}")


def route_said_otherwise(text, rng, pool):
    match = ROUTE.search(text)
    return match and put(text, match.start(), match.end(), f"to {match[2]} from {match[1]}")


def between_order(text, rng, pool):
    match = BETWEEN.search(text)
    if not match or re.search(r"\d", match.group()):
        return None
    return put(text, match.start(), match.end(), f"between {match[2]} and {match[1]}")


# rule, label, how often (relative) among the rules that apply
RULES = {
    "number": (number, 0, 5),
    "direction": (by_table("direction"), 0, 3),
    "unit": (by_table("unit"), 0, 3),
    "group": (by_table("group"), 0, 5),
    "quantity": (by_table("quantity"), 0, 1.5),
    "route_reversed": (route_reversed, 0, 5),
    "route_said_otherwise": (route_said_otherwise, 1, 5),
    "between_order": (between_order, 1, 4),
    "tense": (by_table("tense"), 0, 0.4),
    "negation": (negation, 0, 1.2),
    "name": (name, 0, 3),
    "exchange": (exchange, 0, 1.5),
    "neighbour_word": (neighbour_word, 0, 4),
    "corpus_word": (corpus_word, 0, 1.5),
    "modifier": (modifier, 0, 1.5),
    "dropped_word": (dropped_word, 0, 0.7),
    "question_word": (question_word, 0, 0.6),
    "typo": (typo, 1, 4),
    "contraction": (replace_phrase(CONTRACTIONS), 1, 3),
    "phrase": (replace_phrase(PHRASES), 1, 4),
    "casing": (casing, 1, 1.2),
    "punctuation": (punctuation, 1, 1.5),
    "wrapper": (wrapper, 1, 2.5),
    "articles": (articles, 1, 1.5),
    "filler": (filler, 1, 1),
    "list_order": (list_order, 1, 2),
}


class Pool:
    """What the rules may draw from: the names, words and neighbours of one corpus."""

    def __init__(self, texts, neighbours):
        self.neighbours = neighbours
        self.names = sorted({s[2] for t in texts for s in names(t) if len(s[2]) > 2})
        self.words, counts = {}, {}
        for text in texts:
            for _, _, word in content(text):
                if word.islower():
                    counts[word] = counts.get(word, 0) + 1
        for word in sorted(w for w, n in counts.items() if n >= 3):
            self.words.setdefault(ending(word), []).append(word)
        self.known = set(counts)


def make(text, want, rng, pool):
    """One edit of `text` with label `want`, or None: (edited, rule name)."""
    rules = [(n, r) for n, r in RULES.items() if r[1] == want]
    for _ in range(6):
        key, rule = rng.choices(rules, [r[2] for _, r in rules])[0]
        new = rule[0](text, rng, pool)
        if not new or new == text:
            continue
        if want == 1 and rng.random() < 0.35:
            again = rng.choice(["typo", "casing", "punctuation", "wrapper", "contraction", "articles"])
            new = RULES[again][0](new, rng, pool) or new
        if want == 0 and rng.random() < 0.3:
            harmless = rng.choice(
                ["typo", "phrase", "punctuation", "wrapper", "contraction", "articles"]
            )
            new = RULES[harmless][0](new, rng, pool) or new
        return new, key
    return None
