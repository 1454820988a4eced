"""A recursive, relaxed Transformer: prelude, block × depths with low-rank factors for each depth, coda, exit gate.

Relaxed Recursive Transformers (Bae et al. 2024, arXiv 2410.20672), eq. 2-5; Ouro (arXiv 2510.25741) for the gate and the norm after
every pass. It computes what Rondo's engine computes of the same weights.
"""

from typing import NamedTuple

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn import functional as F

from rounding import rounded_input, rounded_weight
from shape import Shape


class Exits(NamedTuple):
    """Which rows leave the loop early."""

    # `gate` (Ouro's: 1 − Π(1 − λ) ≥ threshold) or `confidence` (the likeliest token's probability ≥ threshold).
    policy: str
    # [B, 1]
    threshold: Tensor
    # [B, T] rows that may; rows of a prompt run every pass.
    may: Tensor


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, epsilon)


def rotary_table(shape: Shape, positions: int, device=None) -> tuple[Tensor, Tensor]:
    """Cosines and sines [positions, head_dim / 2]."""
    steps = torch.arange(0, shape.head_dim, 2, dtype=torch.float32, device=device)
    frequencies = shape.rope_theta ** (-steps / shape.head_dim)
    angles = torch.arange(positions, dtype=torch.float32, device=device)[:, None] * frequencies[None]
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [B, heads, T, head_dim]; the first half of a head turns with the second."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


class Layer(nn.Module):
    """`depths` is 1 outside the block. A linear at depth d is W + B_d·A_d (eq. 3)."""

    def __init__(self, shape: Shape, depths: int):
        super().__init__()
        self.shape = shape
        hidden, queries, keys = shape.hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        sizes = {
            "q": (queries, hidden), "k": (keys, hidden), "v": (keys, hidden), "o": (hidden, queries),
            "gate": (shape.ffn, hidden), "up": (shape.ffn, hidden), "down": (hidden, shape.ffn),
        }  # fmt: skip
        self.weights = nn.ParameterDict({name: nn.Parameter(torch.empty(size)) for name, size in sizes.items()})
        self.a = nn.ParameterDict()
        self.b = nn.ParameterDict()
        if shape.rank and depths > 1:
            for name, (out, columns) in sizes.items():
                if name not in shape.targets:
                    continue
                rank = min(shape.rank, out, columns)
                self.a[name] = nn.Parameter(torch.empty(depths, rank, columns))
                self.b[name] = nn.Parameter(torch.zeros(depths, out, rank))
        rows = depths if shape.per_depth_norms else 1
        names = ("attention", "ffn", "attention_out", "ffn_out") if shape.ouro else ("attention", "ffn")
        self.norms = nn.ParameterDict({name: nn.Parameter(torch.ones(rows, hidden)) for name in names})
        # Whether products are rounded as in int8.
        self.rounded = False

    def linear(self, x: Tensor, depth: int, *names: str) -> Tensor:
        """x [B, T, in] through linears side by side at a depth: [B, T, Σ out]."""
        parts = []
        for name in names:
            weight = rounded_weight(self.weights[name]) if self.rounded else self.weights[name]
            parts.append(weight + self.b[name][depth] @ self.a[name][depth] if name in self.a else weight)
        return F.linear(rounded_input(x) if self.rounded else x, parts[0] if len(parts) == 1 else torch.cat(parts))

    def norm(self, name: str, depth: int, x: Tensor) -> Tensor:
        weight = self.norms[name]
        return rms_norm(x, weight[depth if len(weight) > 1 else 0], self.shape.norm_epsilon)

    def forward(self, x: Tensor, depth: int, rope, mask: Tensor, past=None, alive: Tensor | None = None):
        """x [B, T, hidden] → the same and (keys, values) [B, kv_heads, T, head_dim].

        Where `alive` [B, T] is false a row left the loop before: `past`, its keys and values of the depth before, stand for its own
        (kvPolicy `last-exited`).
        """
        shape = self.shape
        batch, length, _ = x.shape
        qkv = self.linear(self.norm("attention", depth, x), depth, "q", "k", "v")
        heads = qkv.view(batch, length, -1, shape.head_dim).transpose(1, 2)
        turned, value = heads.split([shape.heads + shape.kv_heads, shape.kv_heads], dim=1)
        query, key = rotate(turned, *rope).split([shape.heads, shape.kv_heads], dim=1)
        if alive is not None and past is not None:
            keep = alive[:, None, :, None]
            key, value = torch.where(keep, key, past[0]), torch.where(keep, value, past[1])
        mixed = F.scaled_dot_product_attention(
            query, key.to(query.dtype), value.to(query.dtype), attn_mask=mask, enable_gqa=shape.heads != shape.kv_heads
        )
        mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
        x = x + self.behind("attention_out", depth, self.linear(mixed, depth, "o"))
        gate, up = self.linear(self.norm("ffn", depth, x), depth, "gate", "up").chunk(2, dim=-1)
        x = x + self.behind("ffn_out", depth, self.linear(F.silu(gate) * up, depth, "down"))
        return x, (key, value)

    def behind(self, name: str, depth: int, x: Tensor) -> Tensor:
        return self.norm(name, depth, x) if name in self.norms else x


class RecursiveModel(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.empty(shape.vocab, shape.hidden))
        self.prelude = nn.ModuleList(Layer(shape, 1) for _ in range(shape.prelude))
        self.block = nn.ModuleList(Layer(shape, shape.depths) for _ in range(shape.block))
        self.coda = nn.ModuleList(Layer(shape, 1) for _ in range(shape.coda))
        self.final_norm = nn.Parameter(torch.ones(shape.hidden))
        self.head = None if shape.tied_head else nn.Parameter(torch.empty(shape.vocab, shape.hidden))
        self.gate_weight = nn.Parameter(torch.zeros(shape.hidden)) if shape.ouro else None
        self.gate_bias = nn.Parameter(torch.zeros(1)) if shape.ouro else None
        # Whether layers are computed again on the way back instead of being remembered.
        self.checkpointing = False
        self.rounded = False

    def initialise(self, seed: int) -> None:
        """Normal weights of 1/√in, embeddings of a half; factors add nothing at first (B = 0)."""
        random = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name == "embedding":
                nn.init.normal_(parameter, std=0.5, generator=random)
            elif ".a." in name or ".weights." in name or name == "head":
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5, generator=random)
            elif "_out" in name:
                nn.init.constant_(parameter, 0.5)

    def forward(self, ids: Tensor, mask: Tensor | None = None, exits: Exits | None = None):
        """ids [B, T], mask [B, 1, T, T] (true where a row may see a key; causal by default).

        → states [depths][B, T, hidden] after each pass, and for each row how many passes it ran, [B, T]. Deeper passes see of a row
        that left its keys and values of the pass it left after (kvPolicy `last-exited`).
        """
        rope = rotary_table(self.shape, ids.shape[1], ids.device)
        if mask is None:
            mask = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()[None, None]
        x = F.embedding(ids, self.embedding)
        for layer in self.prelude:
            x, _ = self.run(layer, x, 0, rope, mask)
        states = []
        passes = torch.full(ids.shape, self.shape.depths, device=ids.device)
        alive = torch.ones(ids.shape, dtype=torch.bool, device=ids.device) if exits else None
        stays = torch.ones(ids.shape, device=ids.device)
        past = [None] * len(self.block)
        for depth in range(self.shape.depths):
            before = x
            for slot, layer in enumerate(self.block):
                x, past[slot] = self.run(layer, x, depth, rope, mask, past[slot], alive)
            if self.shape.ouro:
                x = rms_norm(x, self.final_norm, self.shape.norm_epsilon)
            if self.shape.damping != 1:
                x = before + self.shape.damping * (x - before)
            states.append(x)
            if exits and depth + 1 < self.shape.depths:
                with torch.no_grad():
                    if exits.policy == "gate":
                        stays = stays * torch.sigmoid(-self.gate(x.float()))
                        sure = 1 - stays
                    else:
                        sure = self.logits(x).float().softmax(-1).amax(-1)
                    left = alive & exits.may & (sure >= exits.threshold)
                    passes = torch.where(left, depth + 1, passes)
                    alive = alive & ~left
        return states, passes

    def round(self, rounded: bool) -> None:
        """Whether products are rounded as in int8."""
        for part in (self, *self.prelude, *self.block, *self.coda):
            part.rounded = rounded

    def run(self, layer: Layer, *inputs):
        if not self.checkpointing or not torch.is_grad_enabled():
            return layer(*inputs)
        return torch.utils.checkpoint.checkpoint(layer, *inputs, use_reentrant=False)

    def finish(self, state: Tensor, mask: Tensor | None = None) -> Tensor:
        """Coda and head: state [B, T, hidden] → logits [B, T, vocab]."""
        rope = rotary_table(self.shape, state.shape[1], state.device)
        if mask is None and self.coda:
            mask = torch.ones(state.shape[1], state.shape[1], dtype=torch.bool, device=state.device).tril()[None, None]
        for layer in self.coda:
            state, _ = self.run(layer, state, 0, rope, mask)
        return self.logits(state)

    def logits(self, state: Tensor) -> Tensor:
        if not self.shape.ouro:
            state = rms_norm(state, self.final_norm, self.shape.norm_epsilon)
        head = self.embedding if self.head is None else self.head
        return F.linear(rounded_input(state), rounded_weight(head)) if self.rounded else F.linear(state, head)

    def gate(self, state: Tensor) -> Tensor:
        """Logit [B, T] of leaving after the pass whose state this is."""
        return state @ self.gate_weight + self.gate_bias
