"""What a training step minimises. Logits are [N, vocab] of the rows that count, targets [N]; losses are in nats a token."""

import torch
from torch import Tensor
from torch.nn import functional as F


def next_token(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the next token, −log p(x_{t+1} | x_≤t)."""
    return F.cross_entropy(logits.float(), targets)


def forward_kl(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student), the distillation loss of Relaxed Recursive Transformers (Bae et al. 2024, §3.4: forward KL on logits).

    Nothing flows back to the teacher.
    """
    student = F.log_softmax(logits.float(), dim=-1)
    original = F.log_softmax(teacher.detach().float(), dim=-1)
    return F.kl_div(student, original, reduction="batchmean", log_target=True)


# Coefficient of a pass before the last: "aggressive" (Bae et al. 2024, appendix J, table J.1).
INNER = 0.1


def early_exits(passes: list[Tensor], targets: Tensor, distil: bool, spent: Tensor | None = None) -> Tensor:
    """Σ_i α_i L_i with α_i = 0.1 for inner passes and 1 for the last (Bae et al. 2024, §3.5 and appendix J).

    L_i is cross-entropy; with `distil` inner passes learn from the last one's detached output beside it, as in the paper's
    best configuration. Of a row that left the loop the last pass is the one it left after: `spent` [N], all passes by default.
    """
    last = torch.full_like(targets, len(passes)) if spent is None else spent
    total = torch.zeros(())
    for number, logits in enumerate(passes, 1):
        weight = (last == number) + INNER * (last > number)
        total = total + (weight * F.cross_entropy(logits.float(), targets, reduction="none")).mean()
        if distil and number < len(passes):
            inner = last == len(passes)
            if inner.any():
                total = total + INNER * inner.float().mean() * forward_kl(logits[inner], passes[-1][inner])
    return total


# Ouro's stage II: how steep the label is, and what a pass must gain to be worth it (arXiv 2510.25741, §3.4, eq. 10).
GATE_STEEPNESS = 50.0
GATE_GAIN = 0.005


def exit_gate(gates: list[Tensor], losses: list[Tensor]) -> Tensor:
    """The exit gate, the model frozen (Ouro, arXiv 2510.25741, stage II).

    gates: logits [N] of leaving after pass t, for t below the last. losses: each pass's cross-entropy [N], detached. The
    next pass is worth its while by w_t = σ(50·(max(0, L_t − L_{t+1}) − 0.005)); the gate learns 1 − w_t by binary cross-entropy.
    """
    total = torch.zeros(())
    for gate, before, after in zip(gates, losses, losses[1:]):
        worth = torch.sigmoid(GATE_STEEPNESS * ((before - after).clamp(min=0) - GATE_GAIN))
        total = total + F.binary_cross_entropy_with_logits(gate, 1 - worth)
    return total / len(gates)
