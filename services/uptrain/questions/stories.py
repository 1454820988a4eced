"""Problems of two steps, told as a story or in a sentence."""

from random import Random

from . import columns
from .arithmetic import up_to
from .question import Question

PEOPLE = "Anna Ben Clara David Emma Felix Grace Henry Ida Jack".split()
THINGS = "apples books coins cards pens shells stamps marbles".split()
GAINS = ("gets {b} more", "buys {b} more", "finds {b} more")
LOSSES = ("gives away {c}", "loses {c}", "sells {c}")


def story(random: Random, digits: int = 3) -> Question:
    return random.choice((gain_then_loss, loss_then_gain, sum_then_product, sum_of_three))(random, digits)


def gain_then_loss(random: Random, digits: int) -> Question:
    a, b = up_to(random, digits), up_to(random, digits)
    c = random.randint(0, a + b)
    told = f"{{a}} {{things}}. {{who}} {random.choice(GAINS)} and {random.choice(LOSSES)}."
    return tell(random, told, (a, b, c), f"{columns.add(a, b)} {columns.subtract(a + b, c)}", a + b - c)


def loss_then_gain(random: Random, digits: int) -> Question:
    a, b = up_to(random, digits), up_to(random, digits)
    c = random.randint(0, a)
    told = f"{{a}} {{things}}. {{who}} {random.choice(LOSSES)} and {random.choice(GAINS)}."
    return tell(random, told, (a, b, c), f"{columns.subtract(a, c)} {columns.add(a - c, b)}", a - c + b)


def tell(random: Random, told: str, numbers: tuple[int, int, int], work: str, result: int) -> Question:
    a, b, c = numbers
    who, things = random.choice(PEOPLE), random.choice(THINGS)
    ask = random.choice(("How many {things} does {who} have now?", "How many {things} are left?"))
    text = f"{{who}} has {told} {ask}".format(who=who, things=things, a=a, b=b, c=c)
    return Question("two steps", text, f"{work} Answer: {result}")


def sum_then_product(random: Random, digits: int) -> Question:
    a, b, c = up_to(random, digits - 1), up_to(random, digits - 1), random.randrange(10)
    phrase = random.choice(("Add {a} and {b}, then multiply by {c}.", "What is {a} plus {b}, times {c}?"))
    work = f"{columns.add(a, b)} {columns.multiply(a + b, c)}"
    return Question("two steps", phrase.format(a=a, b=b, c=c), f"{work} Answer: {(a + b) * c}")


def sum_of_three(random: Random, digits: int) -> Question:
    a, b, c = (up_to(random, digits) for _ in range(3))
    phrase = random.choice(("What is {a} plus {b} plus {c}?", "{a} + {b} + {c}", "Add {a}, {b} and {c}."))
    work = f"{columns.add(a, b)} {columns.add(a + b, c)}"
    return Question("two steps", phrase.format(a=a, b=b, c=c), f"{work} Answer: {a + b + c}")
