"""Writes what PyTorch `transformers` generates from the real SmolLM2-135M-Instruct checkpoint (GGUF, dequantised to f32).

`python make_smollm2.py path/to/the.gguf` writes ../fixtures/smollm2/greedy.json: five prompts as ids, 64 greedy tokens
each, and the smallest gap between the two largest logits on the way (a gap far above rounding makes the comparison safe).
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from smollm2_tokenizer import reference_tokenizer

OUT = Path(__file__).parent.parent / "fixtures" / "smollm2"
TOKENS = 64

CHAT = [
    "What is the capital of France? Answer in one sentence.",
    "Write a short story about a robot who learns to paint.",
]
PROMPTS = [
    "The three laws of thermodynamics are",
    "def fibonacci(n):\n    ",
    "Once upon a time, in a village by the sea,",
]


def chat(text: str) -> str:
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


@torch.no_grad()
def main(gguf: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    tokenizer = reference_tokenizer(gguf)
    prompts = []
    for text in [chat(text) for text in CHAT] + PROMPTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        tokens, gap, past, feed = [], float("inf"), None, torch.tensor([ids])
        for _ in range(TOKENS):
            out = model(feed, past_key_values=past, use_cache=True)
            past = out.past_key_values
            top = out.logits[0, -1].topk(2)
            gap = min(gap, (top.values[0] - top.values[1]).item())
            tokens.append(top.indices[0].item())
            feed = torch.tensor([[tokens[-1]]])
        prompts.append({"text": text, "ids": ids, "tokens": tokens, "smallestGap": gap})
        print(repr(tokenizer.decode(tokens)), gap)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "greedy.json").write_text(json.dumps({"prompts": prompts}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
