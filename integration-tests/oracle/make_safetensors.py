"""Writes ../fixtures/safetensors/python.safetensors with the reference library: what our writer must write, byte for byte."""

from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).parent.parent / "fixtures" / "safetensors" / "python.safetensors"

if __name__ == "__main__":
    tensors = {
        "a.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4) / 7,
        "b": torch.tensor([-1.5, 0.0, 3e-42]),
        "model.layers.0.self_attn.q_proj.weight": torch.full((1, 5), 2.0**-20),
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUT, metadata={"format": "pt"})
