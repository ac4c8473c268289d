"""Made-up questions whose pairing is decided by grammar: who does what to whom.

All words are our own. Each family yields (a, b, label, family).
"""

FIRST = (
    """Anna Ben Carla David Elena Frank Grace Hugo Irene Jack Karen Liam Maria Noah Olga Peter Quentin
Rosa Simon Tara Uma Victor Wendy Yusuf Zoe Amir Bianca Chen Diego Fatima Goran Hana Ivan Julia""".split()
)
LAST = """Smith Jones Brown Garcia Miller Lopez Wilson Moore Clark Lewis Young Hall Green Baker Adams
Nelson Hill Rivera Wright Novak""".split()
JOBS = (
    """doctor lawyer teacher nurse pilot chef painter dentist plumber banker judge dancer farmer sailor
miner tailor barber guard librarian gardener mechanic translator accountant analyst editor
actor engineer""".split()
)
ADJ = """happy rich famous tall kind honest brave shy lazy clever patient strict polite rude healthy fit
confident quiet generous angry calm funny serious creative careful organized""".split()
SYNONYM = [
    ("happy", "cheerful"),
    ("rich", "wealthy"),
    ("famous", "well known"),
    ("clever", "smart"),
    ("brave", "courageous"),
    ("angry", "mad"),
    ("quiet", "silent"),
    ("kind", "nice"),
    ("rude", "impolite"),
    ("funny", "humorous"),
    ("calm", "relaxed"),
    ("scared", "afraid"),
]
ASYMMETRIC = """following hiring suing teaching chasing helping paying visiting calling beating blaming
firing training feeding ignoring betraying""".split()
SYMMETRIC = [
    "married to",
    "related to",
    "the same age as",
    "a sibling of",
    "dating",
    "a cousin of",
    "in business with",
    "living with",
    "next to",
    "friends with",
]
VERBS = [
    ("paint", "painted"),
    ("sell", "sold"),
    ("buy", "bought"),
    ("break", "broken"),
    ("build", "built"),
    ("steal", "stolen"),
    ("clean", "cleaned"),
    ("find", "found"),
    ("burn", "burned"),
    ("lose", "lost"),
    ("design", "designed"),
    ("inspect", "inspected"),
    ("rent", "rented"),
    ("photograph", "photographed"),
]
THINGS = (
    """house car boat bridge garden bicycle painting piano letter fence tower barn statue shop""".split()
)
COMPARE = """heavier taller faster cheaper safer older stronger louder bigger warmer better smaller
lighter richer healthier cleaner""".split()
PLURALS = """cars trains bikes lions wolves apples oranges phones tablets planes rivers mountains cats
horses lakes trucks boats bananas""".split()
BODY = "head knee elbow back shoulder ankle wrist hip foot neck".split()
SPORTS = "football tennis basketball cricket hockey golf swimming running skiing climbing".split()
PREAMBLES = """I bought a new coat yesterday.|My neighbour is on holiday.|It is raining here.|
I had toast for breakfast.|My sister likes jazz.|We moved house last year.|I am sitting on a bench.|
My bus was late today.|I just finished a book.|The sun is out.""".replace("\n", "").split("|")
ROLES = ["a good", "an accredited", "a former", "a retired", "a famous", "an assistant", "a part-time"]
GOALS = """start a company|learn to swim|bake bread|write a novel|buy a flat|grow tomatoes|fix a tap|
play chess|save money|sleep better""".replace("\n", "").split("|")


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def person(rng):
    return rng.choice(FIRST) + (" " + rng.choice(LAST) if rng.random() < 0.5 else "")


def two(rng, options):
    return rng.sample(options, 2)


def asymmetric(rng):
    x, y = two(rng, FIRST)
    verb = rng.choice(ASYMMETRIC)
    lead = rng.choice(["Is {} {} {}?", "Why is {} {} {}?", "Was {} {} {}?", "Should {} be {} {}?"])
    return lead.format(x, verb, y), lead.format(y, verb, x), 0


def symmetric(rng):
    x, y = two(rng, FIRST)
    relation = rng.choice(SYMMETRIC)
    lead = rng.choice(["Is {} {} {}?", "Was {} {} {}?", "How long has {} been {} {}?"])
    return lead.format(x, relation, y), lead.format(y, relation, x), 1


def comparison(rng):
    x, y = two(rng, PLURALS)
    more = rng.choice(COMPARE)
    a = f"Are {x} {more} than {y}?"
    options = [
        (f"Are {y} {more} than {x}?", 0),
        (f"What is {more}, {x} or {y}?", 1),
        (f"What is {more}, {y} or {x}?", 1),
        (f"Which are {more}, {y} or {x}?", 1),
    ]
    b, label = rng.choice(options)
    if rng.random() < 0.4:
        a = f"Which are {more}, {x} or {y}?"
        b, label = rng.choice(
            [(f"Which are {more}, {y} or {x}?", 1), (f"What is {more}, {y} or {x}?", 1)]
        )
    if rng.random() < 0.2:
        other = rng.choice([w for w in COMPARE if w != more])
        b, label = f"What is {other}, {y} or {x}?", 0
    return a, b, label


def passive(rng):
    who, thing = person(rng), rng.choice(THINGS)
    verb, done = rng.choice(VERBS)
    a = f"Did {who} {verb} the {thing}?"
    if rng.random() < 0.5:
        return a, f"Was the {thing} {done} by {who}?", 1
    return a, f"Was {who} {done} by the {thing}?", 0


def people_passive(rng):
    x, y = two(rng, FIRST)
    verb, done = rng.choice(
        [
            ("hire", "hired"),
            ("beat", "beaten"),
            ("call", "called"),
            ("thank", "thanked"),
            ("follow", "followed"),
            ("rescue", "rescued"),
            ("teach", "taught"),
        ]
    )
    a = f"Did {x} {verb} {y}?"
    return (a, f"Was {y} {done} by {x}?", 1) if rng.random() < 0.5 else (a, f"Was {x} {done} by {y}?", 0)


def and_or(rng):
    who, (x, y) = person(rng), two(rng, JOBS)
    a = f"Is {who} {article(x)} or {article(y)}?"
    if rng.random() < 0.5:
        return a, f"Is {who} {article(y)} or {article(x)}?", 1
    return a, f"Is {who} {rng.choice(['both', 'simultaneously'])} {article(x)} and {article(y)}?", 0


def tense(rng):
    who, job = person(rng), rng.choice(JOBS)
    a = f"Is {who} {article(job)}?"
    b = rng.choice(["Did {} use to be {}?", "Was {} {}?", "Will {} become {}?", "Is {} becoming {}?"])
    return a, b.format(who, article(job)), 0


def role(rng):
    who, job = person(rng), rng.choice(JOBS)
    return f"Is {who} {article(job)}?", f"Is {who} {rng.choice(ROLES)} {job}?", 0


def other_person(rng):
    who, other, job = person(rng), person(rng), rng.choice(JOBS)
    return f"Is {who} {article(job)}?", f"Is {other} {article(job)}?", 0


def other_adjective(rng):
    who, (x, y) = person(rng), two(rng, ADJ)
    return f"Is {who} {x}?", f"Is {who} {y}?", 0


def become(rng):
    x = rng.choice(ADJ)
    a = f"How can I become a {x} person?" if x[0] not in "aeiou" else f"How can I become an {x} person?"
    bs = [
        (f"How can I become a person who is not {x}?", 0),
        (f"How can I become a person who is {x}?", 1),
        (f"How can I become more {x}?", 1),
        (f"How can I become less {x}?", 0),
    ]
    return (a, *rng.choice(bs))


def synonym(rng):
    who, (x, y) = person(rng), rng.choice(SYNONYM)
    lead = rng.choice(["How can I become more {}?", "Is " + who + " {}?", "Why are people {}?"])
    return lead.format(x), lead.format(y), 1


def coreference(rng):
    x, y = two(rng, FIRST)
    verb = rng.choice("hug help call forgive thank warn hire trust".split())
    lead = f"If {x} and {y} were alone, would "
    bs = [
        (lead + f"he {verb} her?", lead + f"she {verb} him?", 0),
        (lead + f"he {verb} her?", lead + f"he {verb} her?", 1),
        (f"If {x} met {y}, would {x} {verb} {y}?", f"If {x} met {y}, would {y} {verb} {x}?", 0),
    ]
    return rng.choice(bs[::2])


def preamble_irrelevant(rng):
    goal = rng.choice(GOALS)
    a = f"How do I {goal}?"
    return rng.choice(PREAMBLES) + " " + a, rng.choice(PREAMBLES + [""]) + " " + a, 1


def preamble_relevant(rng):
    (x, y), sport = two(rng, BODY), rng.choice(SPORTS)
    lead = rng.choice(
        [
            "My {} hurts after {}. What should I do?",
            "I injured my {} while {}. Is this normal?",
            "I have a pain in my {} since {}. Can I keep going?",
        ]
    )
    return lead.format(x, sport), lead.format(y, sport), 0


def around(rng):
    who, job = person(rng), rng.choice(JOBS)
    lead = rng.choice(
        [
            "What did {} do {} becoming {}?",
            "Where did {} live {} working as {}?",
            "Was {} well off {} becoming {}?",
        ]
    )
    x, y = two(rng, ["before", "after", "while"])
    return lead.format(who, x, article(job)), lead.format(who, y, article(job)), 0


def harmless_modifier(rng):
    animal, place = rng.choice("cat dog bird horse mouse fox".split()), rng.choice(
        "sofa roof table bed lawn".split()
    )
    word = rng.choice("somehow perhaps truly really actually indeed".split())
    return f"Is that {animal} on the {place}?", f"Is that {animal} {word} on the {place}?", 1


def opinion(rng):
    who, what = rng.choice("experts critics students doctors readers".split()), rng.choice(JOBS)
    a = f"Who do {who} think is the best {what} in the world?"
    other = rng.choice("best best best worst youngest richest".split())
    return a, f"Who is the {other} {what} in the world according to {who}?", int(other == "best")


FAMILIES = [
    asymmetric,
    symmetric,
    comparison,
    passive,
    people_passive,
    and_or,
    tense,
    role,
    other_person,
    other_adjective,
    become,
    synonym,
    coreference,
    preamble_irrelevant,
    preamble_relevant,
    around,
    harmless_modifier,
    opinion,
]


def pairs(count, rng):
    out = []
    for _ in range(count):
        family = rng.choice(FAMILIES)
        a, b, label = family(rng)
        out.append((a.strip(), b.strip(), label, family.__name__))
    return out
