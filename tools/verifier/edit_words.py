"""Word tables of the rule-made edits: generic English, nothing out of an evaluation file."""

OPPOSITES = """before:after first:last increase:decrease increasing:decreasing buy:sell buying:selling
lose:gain losing:gaining more:less most:least best:worst better:worse good:bad cheapest:dearest
cheap:expensive
cheapest:fastest high:low higher:lower highest:lowest large:small larger:smaller largest:smallest big:little
long:short longer:shorter longest:shortest fast:slow faster:slower old:new older:younger oldest:newest
early:late earlier:later earliest:latest earliest:last left:right up:down above:below over:under
inside:outside
open:close opening:closing start:stop begin:end beginning:end enable:disable install:uninstall add:remove
import:export upload:download send:receive sending:receiving deposit:withdraw push:pull win:lose won:lost
love:hate loved:hated hot:cold warm:cool full:empty easy:hard easiest:hardest strong:weak stronger:weaker
rich:poor safe:dangerous legal:illegal possible:impossible true:false public:private male:female
morning:evening day:night weekday:weekend today:tomorrow today:yesterday arrive:depart arriving:departing
arrival:departure maximum:minimum max:min many:few major:minor advantage:disadvantage
advantages:disadvantages benefits:drawbacks pros:cons positive:negative increase:reduce income:expense
north:south east:west northern:southern eastern:western borrow:lend teach:learn ask:answer encrypt:decrypt
compress:decompress lock:unlock login:logout connect:disconnect attach:detach input:output upgrade:downgrade
married:divorced alive:dead single:married included:excluded include:exclude accept:reject allow:forbid
with:without domestic:foreign domestic:international undergraduate:graduate required:optional
since:until least:most fewer:more""".split()
UNITS = """kg:lbs kilograms:pounds km:miles kilometres:miles kilometers:miles cm:inches metres:feet
meters:feet grams:ounces litres:gallons liters:gallons mb:gb gb:tb kb:mb hours:minutes minutes:seconds
days:weeks weeks:months months:years years:decades hour:minute week:month month:year day:week year:month
dollars:euros euros:pounds usd:eur rupees:dollars celsius:fahrenheit mph:kmh percent:degrees dozen:hundred
million:billion thousand:million hundred:thousand am:pm""".split()
WHO = """who:when when:where where:when what:why why:how how:why""".split()
TENSE = """is:was are:were was:is were:are will:did has:had""".split()
QUANTITY = """all:some every:any always:sometimes never:always only:also both:either and:or or:and
any:all some:no each:no least:most exactly:approximately""".split()
GROUPS = [
    "monday tuesday wednesday thursday friday saturday sunday".split(),
    "january february march april june july august september october november december".split(),
    "spring summer fall winter autumn".split(),
    "red blue green black white yellow orange purple pink brown".split(),
    "one two three four five six seven eight nine ten eleven twelve twenty thirty".split(),
    "second third fourth fifth sixth seventh".split(),
    "english french german spanish italian chinese japanese russian korean hindi arabic dutch".split(),
    "father mother brother sister son daughter uncle aunt husband wife".split(),
    "dog cat horse cow rabbit goat sheep pig hamster parrot turtle snake".split(),
    "python java javascript c++ ruby rust php kotlin swift".split(),
    "windows linux macos android ios ubuntu".split(),
    "breakfast lunch dinner supper snack".split(),
    "doctor lawyer teacher nurse engineer pilot chef actor writer dentist".split(),
    "head knee elbow back shoulder ankle wrist hip foot neck".split(),
    "football tennis basketball cricket hockey golf baseball volleyball".split(),
    "class grade level".split(),
]
MODIFIERS = """free online cheap good old young small local female professional digital indian american
european modern large electric organic famous beginner advanced second-hand wireless commercial
private""".split()
TAILS = """|in india|in canada|in the uk|in winter|for beginners|for children|for free|without a degree|
at home|on weekends|under $100|in 2015|for a small business|on a mac|at night|in python|after 30|
for women|with no experience|in one week|during pregnancy|before 9 am|on monday|in bulk""".replace(
    "\n", ""
).split("|")
FILLERS_SAFE = """really actually basically generally""".split()
WRAPPERS = """please tell me, {}|can you tell me {}|i want to know {}|could you please explain {}|hi, {}|
{} please|{} thanks|hello, {}|quick question: {}|i was wondering, {}|{} thank you|hey, {}|
does anyone know {}|i would like to know {}|tell me {}|please help: {}|do you know {}""".replace(
    "\n", ""
).split("|")
CONTRACTIONS = [
    ("what is", "what's"),
    ("who is", "who's"),
    ("where is", "where's"),
    ("how is", "how's"),
    ("it is", "it's"),
    ("i am", "i'm"),
    ("i have", "i've"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("can not", "can't"),
    ("cannot", "can't"),
    ("did not", "didn't"),
    ("what are", "what're"),
    ("i would", "i'd"),
    ("you are", "you're"),
    ("they are", "they're"),
    ("will not", "won't"),
    ("i will", "i'll"),
    ("that is", "that's"),
    ("should not", "shouldn't"),
    ("would not", "wouldn't"),
]
PHRASES = [
    ("how do i", "how can i"),
    ("how do i", "how to"),
    ("how can i", "how to"),
    ("how do i", "what is the way to"),
    ("how can i", "what should i do to"),
    ("what is the best way to", "how do i best"),
    ("what is the", "tell me the"),
    ("what are the", "list the"),
    ("what are the", "tell me the"),
    ("what are some", "can you name some"),
    ("is there a way to", "is it possible to"),
    ("is it possible to", "can i"),
    ("show me", "give me"),
    ("show me", "list"),
    ("show me", "what are"),
    ("list", "show"),
    ("give me", "find"),
    ("i want to", "i would like to"),
    ("i need", "i want"),
    ("why is", "what is the reason"),
    ("how much does", "what does"),
    ("how many", "what is the number of"),
    ("what does it mean", "what is the meaning"),
    ("which", "what"),
    ("what happens if", "what will happen if"),
    ("who is the author of", "who wrote"),
    ("what should i do", "what can i do"),
    ("are there", "do you have"),
    ("should i", "is it a good idea to"),
    ("purchase", "buy"),
    ("begin", "start"),
    ("large", "big"),
    ("quickly", "fast"),
    ("kids", "children"),
    ("movie", "film"),
    ("car", "automobile"),
    ("photo", "picture"),
    ("help", "assist"),
    ("repair", "fix"),
    ("choose", "select"),
    ("phone", "telephone"),
    ("biggest", "largest"),
    ("job", "occupation"),
    ("earn", "make"),
    ("difference between", "distinction between"),
    ("without", "with no"),
    ("maximum", "highest possible"),
    ("approximately", "about"),
    ("more than", "over"),
    ("united states", "us"),
    ("television", "tv"),
    ("number", "no."),
]
STOP = set(
    """a an the is are was were be been do does did have has had can could will would should may might must i
    you he she it we they me my your his her its our their this that these those of in on at to for
    from by with
    about as and or not no if then than so what who whom which when where why how all any some there
    here please
    tell give show list find between into over under after before up down out off more most less least
    very am""".split()
)
AUX = "is are was were do does did can could should would will has have".split()


def table(entries):
    out = {}
    for entry in entries:
        left, right = entry.split(":")
        out.setdefault(left, []).append(right)
        out.setdefault(right, []).append(left)
    return out


TABLES = {"direction": table(OPPOSITES), "unit": table(UNITS), "quantity": table(QUANTITY)}
TABLES["tense"] = {}
for _entry in TENSE:
    TABLES["tense"].setdefault(_entry.split(":")[0], []).append(_entry.split(":")[1])
TABLES["group"] = {}
for _group in GROUPS:
    for _word in _group:
        TABLES["group"].setdefault(_word, []).extend(w for w in _group if w != _word)
