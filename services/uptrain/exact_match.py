"""How many held-out questions are answered exactly, by task.

An answer follows from its question, so greedy decoding gives it exactly when every token of it is the likeliest behind the right
ones before it: one forward pass tells.
"""

from collections import defaultdict
from itertools import islice

import torch

from batches import IGNORED, Encoder, pack
from model import RecursiveModel
from questions import questions


def held_out_questions(seed: str, count: int) -> list:
    return list(islice(questions(seed, evaluation=True), count))


@torch.no_grad()
def exact_match(model: RecursiveModel, encoder: Encoder, asked: list, depth: int, length: int = 384) -> dict[str, float]:
    """→ {task: share of questions answered exactly} after `depth` passes, and of "all"."""
    right, total = defaultdict(int), defaultdict(int)
    left = list(asked)
    while left:
        batch = pack(encoder, ([question] for question in left), 8, length)
        states, _ = model(batch.ids, batch.mask)
        counted = batch.targets != IGNORED
        wrong = counted & (model.logits(states[depth - 1]).argmax(-1) != batch.targets)
        failed = set(batch.owner[wrong].tolist())
        done = {id(question) for question in batch.questions}
        for index, question in enumerate(batch.questions):
            total[question.task] += 1
            right[question.task] += index not in failed
        left = [question for question in left if id(question) not in done]
    scores = {task: right[task] / total[task] for task in sorted(total)}
    scores["all"] = sum(right.values()) / sum(total.values())
    return scores
