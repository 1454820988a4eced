"""Counting, reversing and sorting short lists."""

from random import Random

from .question import Question

WORDS = (
    "apple pear plum cat dog bird fish red blue green sun moon star tree leaf rose book pen cup door "
    "house boat car bus hat shoe ring key box bell"
).split()
COUNT_ITEMS = (
    "How many items are in this list: {list}?",
    "Count the items: {list}",
    "How many words are there: {list}?",
    "How long is the list {list}?",
)
COUNT_WORD = (
    "How many times is {word} in this list: {list}?",
    "How often does {word} appear in {list}?",
    "Count {word} in: {list}",
)
COUNT_UP = ("Count from {a} to {b}.", "Count up from {a} to {b}", "List the numbers from {a} to {b}.")
COUNT_DOWN = ("Count down from {a} to {b}.", "Count backwards from {a} to {b}")
REVERSE = (
    "Reverse this list: {list}",
    "Reverse: {list}",
    "Write {list} backwards.",
    "What is {list} in reverse order?",
)
SORT_UP = (
    "Sort these numbers: {list}",
    "Sort {list}",
    "Put {list} in order.",
    "Sort from smallest to largest: {list}",
)
SORT_DOWN = ("Sort from largest to smallest: {list}", "Sort {list} in descending order.")


def items(random: Random, longest: int) -> list[str]:
    """Two to `longest` different words, or digits."""
    kind = [str(digit) for digit in range(10)] if random.random() < 0.3 else WORDS
    return random.sample(kind, random.randint(2, longest))


def join(parts: list) -> str:
    return ", ".join(str(part) for part in parts)


def counting(random: Random, longest: int = 8) -> Question:
    kind = random.randrange(3)
    if kind == 0:
        some = items(random, longest)
        text = random.choice(COUNT_ITEMS).format(list=join(some))
        work = join([f"{item} {index}" for index, item in enumerate(some, 1)])
        return Question("counting", text, f"{work}. Answer: {len(some)}")
    if kind == 1:
        few = random.sample(WORDS, random.randint(2, 4))
        some = [random.choice(few) for _ in range(random.randint(3, longest))]
        word = random.choice(few)
        text = random.choice(COUNT_WORD).format(word=word, list=join(some))
        # The word again, beside the work: without it a small model has to find the word among its equals in the list, and never did.
        work = join([f"{item} {some[:index].count(word)}" for index, item in enumerate(some, 1)])
        return Question("counting", text, f"Looking for {word}: {work}. Answer: {some.count(word)}")
    first = random.randrange(90)
    last = first + random.randint(1, longest)
    numbers = list(range(first, last + 1))
    down = random.random() < 0.3
    if down:
        numbers.reverse()
    text = random.choice(COUNT_DOWN if down else COUNT_UP).format(a=numbers[0], b=numbers[-1])
    return Question("counting", text, f"Answer: {join(numbers)}")


def reversing(random: Random, longest: int = 7) -> Question:
    some = items(random, longest)
    text = random.choice(REVERSE).format(list=join(some))
    return Question("reversing", text, f"Answer: {join(some[::-1])}")


def sorting(random: Random, longest: int = 5) -> Question:
    """Numbers of one digit, or of two."""
    return sort_question(random, random.sample(range(10) if random.random() < 0.3 else range(10, 100), random.randint(2, longest)))


def sort_question(random: Random, some: list[int]) -> Question:
    down = random.random() < 0.3
    text = random.choice(SORT_DOWN if down else SORT_UP).format(list=join(some))
    return Question("sorting", text, f"Answer: {join(sorted(some, reverse=down))}")
