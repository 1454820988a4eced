"""What a looped model computes when generated rows exit early, one row at a time, for each of the three kvPolicies.

The model: prelude layers, then a block of layers applied `passes` times, h <- h + damping * (block(h) - h), then coda
layers, final norm, head. Ouro has neither prelude nor coda: its final norm follows every pass, and that normed state is
both the input of the next pass and what the head reads. Attention at depth d of the block, at position p, reads the K and
V of depth d of all positions up to p.

A row with exit e runs passes 0..e-1; its state after pass e-1 goes to coda and head. Its K and V at a deeper depth:

- last-exited: those of depth e-1, copied, layer by layer.
- propagate: of every block layer, the K and V projections of that layer's attention input norm of h, with key norm, bias
  and rope as the layer has them, where h is the state after the row's last pass. One h for all layers and depths.
- catch-up: those of the full computation. The row runs its remaining passes; its logits stay those of its exit.

The coda runs once a row, on the state at the exit, so its K and V come from that state under every policy.

Nothing here knows batches, pages or masks: K and V are a list over positions for each (layer, depth), and a row can read
only what earlier rows have appended.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

POLICIES = ("last-exited", "propagate", "catch-up")


@dataclass(frozen=True)
class Loop:
    """Layers `first`..`last` (0-based, inclusive) are the block."""

    first: int
    last: int
    passes: int
    damping: float


class KvPolicyReference:
    def __init__(self, checkpoint: Path, loop: Loop, policy: str):
        self.config = json.loads((checkpoint / "config.json").read_text())
        self.tensors = {name: tensor.float() for name, tensor in load_file(checkpoint / "model.safetensors").items()}
        self.loop = loop
        self.policy = policy
        self.architecture = self.config["model_type"]
        self.heads = self.config["num_attention_heads"]
        self.kv_heads = self.config["num_key_value_heads"]
        self.width = self.config.get("head_dim") or self.config["hidden_size"] // self.heads
        rope = self.config.get("rope_parameters", self.config)
        assert rope.get("rope_type", "default") == "default", f"{checkpoint}: rope {rope} is not written here"
        self.rope_theta = rope["rope_theta"]
        # (layer, depth) -> [(K, V) of position 0, of position 1, ...]; prelude and coda layers have depth 0 alone.
        self.kv: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def run(self, ids: list[int], prompt_rows: int, exits: list[int]) -> torch.Tensor:
        """Logits [1 + len(exits), vocab] of the last prompt row and of each generated row, whose ids are given."""
        assert len(ids) == prompt_rows + len(exits)
        self.kv.clear()
        logits = [self.row(token, p, self.loop.passes if p < prompt_rows else exits[p - prompt_rows])
                  for p, token in enumerate(ids)]
        return torch.stack(logits[prompt_rows - 1 :])

    def row(self, token: int, position: int, exit: int) -> torch.Tensor:
        """Logits [vocab] of one row that runs passes 0..exit-1; leaves its K and V of every depth behind."""
        block = range(self.loop.first, self.loop.last + 1)
        h = self.tensors["model.embed_tokens.weight"][token]
        if self.architecture == "gemma":
            h = h * self.config["hidden_size"] ** 0.5
        for layer in range(self.loop.first):
            h = self.layer(layer, 0, h, position)
        for depth in range(exit):
            h = self.one_pass(depth, h, position)

        out = h
        for layer in range(self.loop.last + 1, self.config["num_hidden_layers"]):
            out = self.layer(layer, 0, out, position)
        if self.architecture != "ouro":
            out = self.norm("model.norm", out)
        tied = self.config.get("tie_word_embeddings", True)
        logits = self.tensors["model.embed_tokens.weight" if tied else "lm_head.weight"] @ out

        for depth in range(exit, self.loop.passes):
            if self.policy == "last-exited":
                for layer in block:
                    self.append(layer, depth, position, *self.kv[layer, exit - 1][position])
            elif self.policy == "propagate":
                for layer in block:
                    normed = self.norm(f"model.layers.{layer}.input_layernorm", h)
                    self.append(layer, depth, position, *self.key_and_value(layer, normed, position))
            elif self.policy == "catch-up":
                h = self.one_pass(depth, h, position)
            else:
                raise ValueError(f"policy {self.policy}: must be one of {POLICIES}")
        return logits

    def one_pass(self, depth: int, h: torch.Tensor, position: int) -> torch.Tensor:
        out = h
        for layer in range(self.loop.first, self.loop.last + 1):
            out = self.layer(layer, depth, out, position)
        h = h + self.loop.damping * (out - h)
        return self.norm("model.norm", h) if self.architecture == "ouro" else h

    def layer(self, layer: int, depth: int, h: torch.Tensor, position: int) -> torch.Tensor:
        at = f"model.layers.{layer}."
        mixed = self.attention(layer, depth, self.norm(f"{at}input_layernorm", h), position)
        if self.architecture == "ouro":
            h = h + self.norm(f"{at}input_layernorm_2", mixed)
            out = self.mlp(at, self.norm(f"{at}post_attention_layernorm", h))
            return h + self.norm(f"{at}post_attention_layernorm_2", out)
        h = h + mixed
        return h + self.mlp(at, self.norm(f"{at}post_attention_layernorm", h))

    def attention(self, layer: int, depth: int, normed: torch.Tensor, position: int) -> torch.Tensor:
        at = f"model.layers.{layer}.self_attn."
        query = self.linear(f"{at}q_proj", normed).view(self.heads, self.width)
        if self.architecture == "qwen3":
            query = self.norm(f"{at}q_norm", query)
        query = self.rotate(query, position)
        self.append(layer, depth, position, *self.key_and_value(layer, normed, position))
        seen = self.kv[layer, depth]
        mixed = []
        for head in range(self.heads):
            kv_head = head // (self.heads // self.kv_heads)
            keys = torch.stack([key[kv_head] for key, _ in seen])
            values = torch.stack([value[kv_head] for _, value in seen])
            weights = torch.softmax(keys @ query[head] / self.width**0.5, dim=0)
            mixed.append(weights @ values)
        return self.linear(f"{at}o_proj", torch.cat(mixed))

    def key_and_value(self, layer: int, normed: torch.Tensor, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """K and V [kv heads, head width] of a row whose attention input, already normed, is `normed` [hidden]."""
        at = f"model.layers.{layer}.self_attn."
        key = self.linear(f"{at}k_proj", normed).view(self.kv_heads, self.width)
        if self.architecture == "qwen3":
            key = self.norm(f"{at}k_norm", key)
        return self.rotate(key, position), self.linear(f"{at}v_proj", normed).view(self.kv_heads, self.width)

    def append(self, layer: int, depth: int, position: int, key: torch.Tensor, value: torch.Tensor) -> None:
        positions = self.kv.setdefault((layer, depth), [])
        assert len(positions) == position, f"layer {layer} depth {depth}: {len(positions)} rows before row {position}"
        positions.append((key, value))

    def mlp(self, at: str, x: torch.Tensor) -> torch.Tensor:
        gate = self.linear(f"{at}mlp.gate_proj", x)
        if self.architecture == "gemma":
            gate = torch.nn.functional.gelu(gate, approximate="tanh")
        else:
            gate = torch.nn.functional.silu(gate)
        return self.linear(f"{at}mlp.down_proj", gate * self.linear(f"{at}mlp.up_proj", x))

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        out = self.tensors[f"{name}.weight"] @ x
        bias = self.tensors.get(f"{name}.bias")
        return out if bias is None else out + bias

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight = self.tensors[f"{name}.weight"]
        scaled = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return scaled * (1 + weight if self.architecture == "gemma" else weight)

    def rotate(self, x: torch.Tensor, position: int) -> torch.Tensor:
        """x [heads, width]; the first half of a head turns with the second."""
        angles = position * self.rope_theta ** (-torch.arange(0, self.width, 2).float() / self.width)
        cos, sin = angles.cos(), angles.sin()
        left, right = x[:, : self.width // 2], x[:, self.width // 2 :]
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)
