"""Writes what PyTorch gives the prompts that lm-evaluation-harness sent: each token's log probability and the best there.

`python make_lm_eval.py path/to/the.gguf` reads ../lm-eval/requests.jsonl, bodies as `lm_eval` 0.4.13 sent them to
/v1/completions (--model local-completions, its tasks of ../lm-eval), and writes ../fixtures/smollm2/lm-eval.json: for each
body and each of its prompts the ids, and for every id but the first log p(id | ids before it) and the largest such.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from smollm2_tokenizer import reference_tokenizer

HERE = Path(__file__).parent
REQUESTS = HERE.parent / "lm-eval" / "requests.jsonl"
OUT = HERE.parent / "fixtures" / "smollm2" / "lm-eval.json"


@torch.no_grad()
def score(model, ids: list[int]) -> dict:
    logprobs = model(torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
    own = logprobs.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    rounded = lambda values: [round(value, 6) for value in values.tolist()]
    return {"ids": ids, "logprobs": rounded(own), "best": rounded(logprobs.max(-1).values)}


def main(gguf: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    tokenizer = reference_tokenizer(gguf)
    requests = []
    for line in REQUESTS.read_text().splitlines():
        prompt = json.loads(line)["prompt"]
        prompts = [prompt] if isinstance(prompt, str) else prompt
        encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        requests.append([score(model, encode(p) if isinstance(p, str) else p) for p in prompts])
    OUT.write_text(json.dumps(requests) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
