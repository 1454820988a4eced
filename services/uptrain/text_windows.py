"""Windows of a text as rows of tokens."""

from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor


class TextWindows:
    """The last `held_out` of the text is for evaluation only."""

    def __init__(self, tokenizer: Tokenizer, paths: list[Path], length: int, held_out: float = 0.1):
        ids = [id for path in paths for id in tokenizer.encode(path.read_text(), add_special_tokens=False).ids]
        self.length = length
        cut = int(len(ids) * (1 - held_out))
        if cut <= length or len(ids) - cut <= length:
            raise ValueError(f"{', '.join(map(str, paths))}: {len(ids)} tokens are too few for windows of {length}")
        self.training, self.evaluation = torch.tensor(ids[:cut]), torch.tensor(ids[cut:])

    def batch(self, seed: int, step: int, rows: int) -> Tensor:
        """[rows, length + 1] ids of a step: the same for the same seed, whatever ran before."""
        random = Random(f"{seed}/{step}/windows")
        starts = [random.randrange(len(self.training) - self.length) for _ in range(rows)]
        return torch.stack([self.training[start : start + self.length + 1] for start in starts])

    def held_out(self, most: int) -> list[Tensor]:
        """Up to `most` windows [1, length + 1] side by side."""
        starts = range(0, len(self.evaluation) - self.length, self.length)
        return [self.evaluation[None, start : start + self.length + 1] for start in list(starts)[:most]]
