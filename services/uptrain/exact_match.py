"""How many held-out questions are answered exactly, by task.

An answer follows from its question, so greedy decoding gives it exactly when every token of it is the likeliest behind the right
ones before it: one forward pass tells.
"""

from collections import defaultdict
from itertools import islice

import torch

from batches import IGNORED, Encoder, pack
from model import Exits, RecursiveModel
from questions import questions


def held_out_questions(seed: str, count: int) -> list:
    return list(islice(questions(seed, evaluation=True), count))


@torch.no_grad()
def exact_match(model: RecursiveModel, encoder: Encoder, asked: list, depth: int | None = None, exits=None, length: int = 384):
    """→ {task: share of questions answered exactly}, mean passes of generated tokens. `depth` passes (all by default), or `exits` (policy,
    threshold)."""
    right, total = defaultdict(int), defaultdict(int)
    passes_sum = rows = 0
    left = list(asked)
    while left:
        batch = pack(encoder, ([question] for question in left), 8, length)
        rule = Exits(exits[0], torch.full((8, 1), exits[1]), batch.generated) if exits else None
        states, passes = model(batch.ids, batch.mask, rule)
        state = torch.stack(states)[-1 if depth is None else depth - 1]
        if rule:
            index = (passes - 1)[None, :, :, None].expand(1, *state.shape)
            state = torch.stack(states).gather(0, index)[0]
        counted = batch.targets != IGNORED
        wrong = counted & (model.logits(state).argmax(-1) != batch.targets)
        passes_sum += passes[batch.generated].sum().item()
        rows += batch.generated.sum().item()
        failed = set(batch.owner[wrong].tolist())
        done = {id(question) for question in batch.questions}
        for index, question in enumerate(batch.questions):
            total[question.task] += 1
            right[question.task] += index not in failed
        left = [question for question in left if id(question) not in done]
    scores = {task: right[task] / total[task] for task in sorted(total)}
    scores["all"] = sum(right.values()) / sum(total.values())
    return scores, passes_sum / max(1, rows)
