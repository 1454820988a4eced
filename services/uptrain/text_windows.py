"""Windows of texts as rows of tokens."""

from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor


class TextWindows:
    """The last `held_out` of every text is for evaluation only."""

    def __init__(self, tokenizer: Tokenizer, paths: list[Path], length: int, held_out: float = 0.1):
        self.length = length
        training, evaluation = [], []
        for path in paths:
            ids = torch.tensor(tokenizer.encode(path.read_text(), add_special_tokens=False).ids, dtype=torch.int32)
            cut = int(len(ids) * (1 - held_out))
            training.append(ids[:cut])
            evaluation.append(ids[cut:])
        self.training, self.evaluation = torch.cat(training), torch.cat(evaluation)
        if min(len(self.training), len(self.evaluation)) <= length:
            count = len(self.training) + len(self.evaluation)
            raise ValueError(f"{', '.join(map(str, paths))}: {count} tokens are too few for windows of {length}")

    def batch(self, seed: int, step: int, rows: int) -> Tensor:
        """[rows, length + 1] ids of a step: the same for the same seed, whatever ran before."""
        random = Random(f"{seed}/{step}/windows")
        starts = [random.randrange(len(self.training) - self.length) for _ in range(rows)]
        return torch.stack([self.training[start : start + self.length + 1] for start in starts]).long()

    def held_out(self, most: int) -> list[Tensor]:
        """Up to `most` windows [1, length + 1], spread over all texts."""
        starts = range(0, len(self.evaluation) - self.length, self.length)
        count = min(most, len(starts))
        chosen = (starts[index * len(starts) // count] for index in range(count))
        return [self.evaluation[None, start : start + self.length + 1].long() for start in chosen]
