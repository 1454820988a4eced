"""Writes held-out questions as JSON lines, for `rondo eval --exact`.

    python held_out.py --count 600 --seed built-in --out questions.jsonl [--digits 5]

With --digits, sums, differences and products of numbers up to that long: beyond 4 (3 in products) none was trained on.
"""

import argparse
import json
from itertools import islice
from pathlib import Path
from random import Random

from questions import questions
from questions.arithmetic import addition, product, subtraction


def longer(seed: str, digits: int):
    """Without end."""
    random = Random(seed)
    while True:
        yield random.choice((addition, subtraction, product))(random, digits)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--digits", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    source = longer(options.seed, options.digits) if options.digits else questions(options.seed, evaluation=True)
    lines = (
        json.dumps({"task": question.task, "question": question.text, "answer": question.answer})
        for question in islice(source, options.count)
    )
    options.out.write_text("\n".join(lines) + "\n")
