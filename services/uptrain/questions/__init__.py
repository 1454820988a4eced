"""Questions in plain words with checkable answers, the built-in model's whole world, from a seed."""

import zlib
from collections.abc import Iterator
from random import Random

from .arithmetic import addition, comparison, product, subtraction
from .dates import dates
from .lists import counting, reversing, sorting
from .question import Question
from .refusals import refusal
from .stories import story

# Task and how often it is asked, in percent.
TASKS = (
    (addition, 8),
    (subtraction, 16),
    (comparison, 14),
    (product, 11),
    (counting, 14),
    (reversing, 6),
    (sorting, 11),
    (story, 10),
    (dates, 8),
    (refusal, 2),
)
HELD_OUT_ONE_IN = 10


def held_out(question: Question) -> bool:
    """Whether a question is for evaluation only. It follows from its text, so no seed can bring it into training."""
    return zlib.crc32(question.text.encode()) % HELD_OUT_ONE_IN == 0


def questions(seed: str, evaluation: bool = False) -> Iterator[Question]:
    """Without end; the same for the same seed."""
    random = Random(seed)
    makers, weights = zip(*TASKS)
    while True:
        question = random.choices(makers, weights)[0](random)
        if held_out(question) == evaluation:
            yield question
