"""Sums, differences, products and comparisons."""

from random import Random

from . import columns
from .question import Question

ADDITIONS = (
    "What is {a} plus {b}?",
    "What is {a} + {b}?",
    "{a} + {b}",
    "{a}+{b}=",
    "Add {a} and {b}.",
    "Add {a} to {b}.",
    "What is the sum of {a} and {b}?",
    "How much is {a} plus {b}?",
    "Calculate {a} + {b}.",
    "Please add {a} and {b}",
)
SUBTRACTIONS = (
    "What is {a} minus {b}?",
    "What is {a} - {b}?",
    "{a} - {b}",
    "{a}-{b}=",
    "Subtract {b} from {a}.",
    "Take {b} away from {a}.",
    "What is the difference of {a} and {b}?",
    "How much is {a} minus {b}?",
    "Calculate {a} - {b}.",
    "Please subtract {b} from {a}",
)
PRODUCTS = (
    "What is {a} times {b}?",
    "What is {a} * {b}?",
    "What is {a} x {b}?",
    "{a} * {b}",
    "{a}*{b}=",
    "Multiply {a} by {b}.",
    "What is the product of {a} and {b}?",
    "How much is {a} times {b}?",
    "Calculate {a} * {b}.",
)
LARGER = (
    "Which is larger, {a} or {b}?",
    "Which number is bigger, {a} or {b}?",
    "What is the larger of {a} and {b}?",
    "Which is greater: {a} or {b}?",
)
SMALLER = (
    "Which is smaller, {a} or {b}?",
    "Which number is less, {a} or {b}?",
    "What is the smaller of {a} and {b}?",
)
IS_LARGER = ("Is {a} larger than {b}?", "Is {a} greater than {b}?", "Is {a} more than {b}?", "Is {a} > {b}?")
IS_SMALLER = ("Is {a} smaller than {b}?", "Is {a} less than {b}?", "Is {a} < {b}?")


def number(random: Random, digits: int) -> int:
    """A number of exactly `digits` digits."""
    return random.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)


def up_to(random: Random, digits: int) -> int:
    """Every length is as likely."""
    return number(random, random.randint(1, digits))


def near(random: Random, other: int, digits: int) -> int:
    """A number that shares leading digits with `other`, or is equal."""
    keep = 10 ** random.randint(0, digits - 1)
    return other // keep * keep + random.randrange(keep)


def pair(random: Random, digits: int) -> tuple[int, int]:
    """Mostly of the full length, where most is to be learnt."""
    kind = random.random()
    if kind < 0.4:
        return number(random, digits), number(random, digits)
    a = up_to(random, digits)
    return a, near(random, a, digits) if kind > 0.85 else up_to(random, digits)


def addition(random: Random, digits: int = 4) -> Question:
    a, b = pair(random, digits)
    text = random.choice(ADDITIONS).format(a=a, b=b)
    return Question("addition", text, f"{columns.add(a, b)} Answer: {a + b}")


def subtraction(random: Random, digits: int = 4) -> Question:
    a, b = pair(random, digits)
    if a < b and random.random() < 0.7:
        a, b = b, a
    text = random.choice(SUBTRACTIONS).format(a=a, b=b)
    return Question("subtraction", text, f"{columns.subtract(a, b)} Answer: {a - b}")


def product(random: Random, digits: int = 3) -> Question:
    if random.random() < 0.12:
        a, b = random.randint(10, 12), random.randint(10, 12)
        work = f"{a}*{b}."
    else:
        a, b = up_to(random, digits), random.randrange(10)
        work = columns.multiply(a, b)
    c, d = (b, a) if random.random() < 0.4 and b < 10 <= a else (a, b)
    text = random.choice(PRODUCTS).format(a=c, b=d)
    return Question("product", text, f"{work} Answer: {a * b}")


def comparison(random: Random, digits: int = 4) -> Question:
    a = up_to(random, digits)
    b = near(random, a, digits) if random.random() < 0.6 else up_to(random, digits)
    if random.random() < 0.5:
        a, b = b, a
    kind = random.randrange(4)
    phrases = (LARGER, SMALLER, IS_LARGER, IS_SMALLER)[kind]
    answer = (max(a, b), min(a, b), "yes" if a > b else "no", "yes" if a < b else "no")[kind]
    text = random.choice(phrases).format(a=a, b=b)
    return Question("comparison", text, f"{columns.compare(a, b)} Answer: {answer}")
