"""Writes matrices and their truncated singular value decompositions by `torch.linalg.svd` in f64.

`python make_low_rank.py path/to/the.gguf` writes ../../services/converter/fixtures/low-rank.safetensors: for each NAME a
matrix `NAME` and the product `NAME.b` · `NAME.a` of its best factors of a rank. `residual` is a corner of what a key
projection of SmolLM2 differs by from the mean over three layers; its singular values hardly fall.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

OUT = Path(__file__).parent.parent.parent / "services" / "converter" / "fixtures" / "low-rank.safetensors"


def with_spectrum(rows: int, columns: int, values: torch.Tensor) -> torch.Tensor:
    left = torch.linalg.qr(torch.randn(rows, len(values), dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(columns, len(values), dtype=torch.float64))[0]
    return left @ torch.diag(values) @ right.T


def residual(gguf: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    keys = [model.model.layers[at].self_attn.k_proj.weight.detach().double() for at in (5, 15, 25)]
    return (keys[1] - sum(keys) / 3)[:96, :144]


def main(gguf: Path) -> None:
    torch.manual_seed(0)
    steps = torch.arange(96, dtype=torch.float64)
    cases = {
        "exponential": (with_spectrum(96, 128, 0.8**steps), 16),
        "square": (with_spectrum(128, 96, 1 / (1 + steps) ** 2), 12),
        "slow": (with_spectrum(112, 112, 1 / (1 + steps)), 16),
        "residual": (residual(gguf), 16),
    }
    tensors = {}
    for name, (matrix, rank) in cases.items():
        stored = matrix.half()
        u, s, vh = torch.linalg.svd(stored.double(), full_matrices=False)
        tensors[name] = stored
        tensors[f"{name}.b"] = (u[:, :rank] * s[:rank]).float().contiguous()
        tensors[f"{name}.a"] = vh[:rank].float().contiguous()
        tensors[f"{name}.values"] = s.float()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUT, metadata={"format": "pt"})
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
