"""Questions as rows of tokens: several in a row, none seeing another, the loss on answers alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from questions import Question, questions
from tokenizer import ASSISTANT, END, USER

IGNORED = -100
# Conversations of more than one question, in percent.
CONVERSATIONS = 10


@dataclass(frozen=True)
class Batch:
    # [B, T]
    ids: Tensor
    # [B, T] the next token where it belongs to an answer, else IGNORED.
    targets: Tensor
    # [B, 1, T, T] true where a row may see a key.
    mask: Tensor
    # [B, T] rows of an answer: the others are prompt, which runs every pass.
    generated: Tensor
    # [B, T] which question of `questions` a row belongs to; -1 for padding.
    owner: Tensor
    questions: list[Question]


class Encoder:
    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.user, self.assistant, self.end = (tokenizer.token_to_id(token) for token in (USER, ASSISTANT, END))

    def encode(self, question: Question) -> tuple[list[int], list[int]]:
        prompt = self.tokenizer.encode(question.text).ids
        answer = self.tokenizer.encode(question.answer).ids
        return [self.user, *prompt, self.assistant], [*answer, self.end]


def training_batch(encoder: Encoder, seed: int, step: int, rows: int, length: int) -> Batch:
    """The batch of a step: the same for the same seed, whatever ran before."""
    random = Random(f"{seed}/{step}/talk")
    source = questions(f"{seed}/{step}")

    def conversations() -> Iterator[list[Question]]:
        while True:
            turns = 1 if random.randrange(100) >= CONVERSATIONS else random.randint(2, 3)
            yield [next(source) for _ in range(turns)]

    return pack(encoder, conversations(), rows, length)


# Conversations in a row that fit into no row before a batch counts as full.
MISSES = 12


def pack(encoder: Encoder, conversations: Iterator[list[Question]], rows: int, length: int) -> Batch:
    """Fills `rows` rows of `length` tokens with whole conversations, each in the first row that has room."""
    ids = torch.full((rows, length), encoder.end)
    targets = torch.full((rows, length), IGNORED)
    talk = torch.full((rows, length), -1)
    owner = torch.full((rows, length), -1)
    generated = torch.zeros((rows, length), dtype=torch.bool)
    asked: list[Question] = []
    used = [0] * rows
    count = misses = 0
    for turns in conversations:
        encoded = [encoder.encode(turn) for turn in turns]
        size = sum(len(prompt) + len(answer) for prompt, answer in encoded)
        row = next((row for row in range(rows) if used[row] + size <= length), None)
        if row is None:
            misses += 1
            if misses == MISSES:
                break
            continue
        at = used[row]
        talk[row, at : at + size] = count
        count += 1
        for turn, (prompt, answer) in zip(turns, encoded):
            start, end = at + len(prompt), at + len(prompt) + len(answer)
            ids[row, at:end] = torch.tensor(prompt + answer)
            targets[row, start - 1 : end - 1] = torch.tensor(answer)
            generated[row, start:end] = True
            owner[row, at:end] = len(asked)
            asked.append(turn)
            at = end
        used[row] = at
    same = talk[:, :, None] == talk[:, None, :]
    mask = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    return Batch(ids, targets, mask, generated, owner, asked)
