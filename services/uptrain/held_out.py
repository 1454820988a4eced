"""Writes held-out questions as JSON lines, for `rondo eval --exact`.

    python held_out.py --seed held-out --out models/built-in.jsonl
    python held_out.py --seed held-out --out by-digits.jsonl --kind digits --count 40
    python held_out.py --seed held-out --out mixed-lists.jsonl --kind mixed-lists --count 200

`usual` questions are those of training. `digits` are sums, differences, products by one digit and comparisons, `count` of each for every
length of their longest number: beyond four digits (three in products) none was trained on. `mixed-lists` sort numbers of one digit
together with numbers of two, which training never does.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random

from questions import Question, held_out, questions
from questions.arithmetic import addition, comparison, product, subtraction
from questions.lists import sort_question

# Of the longest number in `digits`.
LONGEST = 5


def digits_of(question: Question) -> int:
    """Of the longest number that is asked about."""
    return max(map(len, re.findall(r"\d+", question.text)))


def by_digits(seed: str, count: int) -> Iterator[Question]:
    """Each `count` different questions, their task named after operation and length."""
    for maker in (addition, subtraction, product, comparison):
        for digits in range(1, LONGEST + 1):
            random = Random(f"{seed}/{maker.__name__}/{digits}")
            found: dict[str, Question] = {}
            while len(found) < count:
                question = maker(random, digits)
                if held_out(question) and digits_of(question) == digits:
                    found[question.text] = question
            yield from (Question(f"{question.task} {digits}", text, question.answer) for text, question in found.items())


def mixed_lists(seed: str, count: int) -> Iterator[Question]:
    random = Random(seed)
    for _ in range(count):
        length = random.randint(2, 5)
        short = random.randint(1, length - 1)
        some = [*random.sample(range(10), short), *random.sample(range(10, 100), length - short)]
        random.shuffle(some)
        yield sort_question(random, some)


def usual(seed: str, count: int) -> Iterator[Question]:
    return islice(questions(seed, evaluation=True), count)


KINDS: dict[str, Callable[[str, int], Iterator[Question]]] = {"usual": usual, "digits": by_digits, "mixed-lists": mixed_lists}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kind", choices=tuple(KINDS), default="usual")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lines = (
        json.dumps({"task": question.task, "question": question.text, "answer": question.answer})
        for question in KINDS[options.kind](options.seed, options.count)
    )
    options.out.write_text("\n".join(lines) + "\n")
