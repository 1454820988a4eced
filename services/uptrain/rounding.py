"""What `rondo convert --precision int8` does to products, for training beside it: gradients pass as if nothing was rounded.

Weights have seven bits and a scale for each output, inputs eight bits and a scale for each row (docs/adr/0014; straight-through
estimator, Bengio et al. 2013, arXiv 1308.3432).
"""

import torch
from torch import Tensor

WEIGHT_LEVELS = 63
INPUT_LEVELS = 127


def rounded(values: Tensor, levels: int) -> Tensor:
    """Along the last dimension to whole parts of its largest value."""
    with torch.no_grad():
        step = values.abs().amax(-1, keepdim=True).clamp(min=1e-12) / levels
        change = torch.round(values / step) * step - values
    return values + change


def rounded_weight(weight: Tensor) -> Tensor:
    return rounded(weight, WEIGHT_LEVELS)


def rounded_input(x: Tensor) -> Tensor:
    return rounded(x, INPUT_LEVELS)
