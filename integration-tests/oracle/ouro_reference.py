"""Ouro (LoopLM, arXiv 2510.25741) written plainly from the description of its architecture.

One stack of layers is applied `total_ut_steps` times. Layer: x += N2(attn(N1(x))); x += N4(mlp(N3(x))) with RMS norms on
both sides of each sublayer. After EVERY pass x = norm(x), and that normed x feeds the next pass, the gate
sigmoid(w·x + b), and after the last pass the head. Each pass attends to the keys and values of its own pass.
"""

import torch


def ouro_config() -> dict:
    return {
        "model_type": "ouro",
        "architectures": ["OuroForCausalLM"],
        "num_hidden_layers": 2,
        "hidden_size": 48,
        "intermediate_size": 70,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 12,
        "vocab_size": 109,
        "total_ut_steps": 3,
        "early_exit_threshold": 1.0,
        "rope_theta": 1000000.0,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "eos_token_id": 1,
        "torch_dtype": "float32",
    }


def ouro_tensors(config: dict, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]

    def matrix(out: int, columns: int) -> torch.Tensor:
        return torch.randn(out, columns, generator=generator) * 1.2 / columns**0.5

    def norm() -> torch.Tensor:
        return 1 + 0.2 * torch.randn(hidden, generator=generator)

    tensors = {
        "model.embed_tokens.weight": 0.5 * torch.randn(vocab, hidden, generator=generator),
        "model.norm.weight": norm(),
        "model.early_exit_gate.weight": matrix(1, hidden),
        "model.early_exit_gate.bias": torch.randn(1, generator=generator),
        "lm_head.weight": matrix(vocab, hidden),
    }
    for index in range(config["num_hidden_layers"]):
        at = f"model.layers.{index}."
        for part in ("input_layernorm", "input_layernorm_2", "post_attention_layernorm", "post_attention_layernorm_2"):
            tensors[f"{at}{part}.weight"] = norm()
        for part in "qkvo":
            tensors[f"{at}self_attn.{part}_proj.weight"] = matrix(hidden, hidden)
        tensors[f"{at}mlp.gate_proj.weight"] = matrix(ffn, hidden)
        tensors[f"{at}mlp.up_proj.weight"] = matrix(ffn, hidden)
        tensors[f"{at}mlp.down_proj.weight"] = matrix(hidden, ffn)
    return tensors


class OuroReference:
    def __init__(self, config: dict, tensors: dict[str, torch.Tensor]):
        self.config = config
        self.tensors = tensors

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """ids [1, n] -> logits [1, n, vocab] after the last pass, gate probabilities [1, passes, n]."""
        t = self.tensors
        x = t["model.embed_tokens.weight"][ids]
        gates = []
        for _ in range(self.config["total_ut_steps"]):
            for index in range(self.config["num_hidden_layers"]):
                x = self.layer(f"model.layers.{index}.", x)
            x = self.norm("model.norm.weight", x)
            gate = x @ t["model.early_exit_gate.weight"].T + t["model.early_exit_gate.bias"]
            gates.append(torch.sigmoid(gate)[..., 0])
        return x @ t["lm_head.weight"].T, torch.stack(gates, dim=1)

    def layer(self, at: str, x: torch.Tensor) -> torch.Tensor:
        x = x + self.norm(f"{at}input_layernorm_2.weight", self.attention(at, self.norm(f"{at}input_layernorm.weight", x)))
        normed = self.norm(f"{at}post_attention_layernorm.weight", x)
        return x + self.norm(f"{at}post_attention_layernorm_2.weight", self.mlp(at, normed))

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        variance = x.pow(2).mean(-1, keepdim=True)
        return x * torch.rsqrt(variance + self.config["rms_norm_eps"]) * self.tensors[name]

    def mlp(self, at: str, x: torch.Tensor) -> torch.Tensor:
        t = self.tensors
        gate = torch.nn.functional.silu(x @ t[f"{at}mlp.gate_proj.weight"].T)
        return (gate * (x @ t[f"{at}mlp.up_proj.weight"].T)) @ t[f"{at}mlp.down_proj.weight"].T

    def attention(self, at: str, x: torch.Tensor) -> torch.Tensor:
        t, n = self.tensors, x.shape[1]
        heads, width = self.config["num_attention_heads"], self.config["head_dim"]

        def split(part: str) -> torch.Tensor:
            return (x @ t[f"{at}self_attn.{part}_proj.weight"].T).view(1, n, heads, width).transpose(1, 2)

        query, key, value = self.rotate(split("q")), self.rotate(split("k")), split("v")
        scores = query @ key.transpose(-1, -2) / width**0.5
        causal = torch.full((n, n), float("-inf")).triu(1)
        mixed = torch.softmax(scores + causal, dim=-1) @ value
        return mixed.transpose(1, 2).reshape(1, n, heads * width) @ t[f"{at}self_attn.o_proj.weight"].T

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """x [1, heads, n, width]; the first half of a head turns with the second."""
        width, n = x.shape[-1], x.shape[2]
        frequencies = self.config["rope_theta"] ** (-torch.arange(0, width, 2).float() / width)
        angles = torch.arange(n).float()[:, None] * frequencies[None]
        cos, sin = angles.cos(), angles.sin()
        left, right = x[..., : width // 2], x[..., width // 2 :]
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)
