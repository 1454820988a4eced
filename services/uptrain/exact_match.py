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
def exact_match(model: RecursiveModel, encoder: Encoder, asked: list, length: int = 384) -> list[dict[str, float]]:
    """→ after each number of passes {task: share of questions answered exactly}, and of "all"."""
    total = defaultdict(int)
    right = [defaultdict(int) for _ in range(model.shape.depths)]
    left = list(asked)
    while left:
        batch = pack(encoder, ([question] for question in left), 8, length)
        states, _ = model(batch.ids, batch.mask)
        counted = batch.targets != IGNORED
        for question in batch.questions:
            total[question.task] += 1
        for state, tasks in zip(states, right):
            wrong = counted & (model.logits(state).argmax(-1) != batch.targets)
            failed = set(batch.owner[wrong].tolist())
            for index, question in enumerate(batch.questions):
                tasks[question.task] += index not in failed
        done = {id(question) for question in batch.questions}
        left = [question for question in left if id(question) not in done]
    count = sum(total.values())
    return [{**{task: tasks[task] / total[task] for task in sorted(total)}, "all": sum(tasks.values()) / count} for tasks in right]
