"""Writes what PyTorch and lm-evaluation-harness make of the suites of `rondo eval`.

`python make_eval.py path/to/the.gguf` writes ../fixtures/eval.json, for the tiny Llama on ../eval/tiny.yaml and for SmolLM2
on the default suite: the negative log likelihood of each window, and the harness' own log likelihood of every choice, acc and
acc_norm. Numbers of the suites are repeated here on purpose: an oracle does not read what it judges.
"""

import json
import sys
from pathlib import Path

import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from smollm2_tokenizer import reference_tokenizer

TESTS = Path(__file__).parent.parent
LAB = TESTS.parent / "services" / "lab"
TEXT = LAB / "texts" / "default.txt"


@torch.no_grad()
def windows(model, tokenizer, positions: int, stride: int, count: int) -> list[dict]:
    """The text after its prefix id; window w scores ids w·stride … (w+1)·stride − 1 of the text."""
    text = TEXT.read_text(encoding="utf-8")
    ids = [tokenizer.bos_token_id or tokenizer.eos_token_id]
    ids += tokenizer.encode(text, add_special_tokens=False)
    found = []
    for window in range(count):
        end = 1 + (window + 1) * stride
        given = ids[max(0, end - positions) : end]
        logits = model(torch.tensor([given[:-1]])).logits[0, -stride:].double()
        targets = torch.tensor(given[-stride:])
        nll = torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        scored = tokenizer.decode(given[-stride:], clean_up_tokenization_spaces=False)
        found.append({"nll": nll, "bytes": len(scored.encode("utf-8"))})
    return found


def questions(model, tokenizer, file: Path) -> dict:
    task = {
        "task": "questions",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "query",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=512)
    out = simple_evaluate(model=harness, tasks=[task], log_samples=True, bootstrap_iters=0)
    samples = sorted(out["samples"]["questions"], key=lambda sample: sample["doc_id"])
    results = out["results"]["questions"]
    return {
        "logLikelihoods": [[float(response[0]) for response in sample["filtered_resps"]] for sample in samples],
        "acc": results["acc,none"],
        "accNorm": results["acc_norm,none"],
    }


def main(gguf: Path) -> None:
    checkpoint = TESTS / "fixtures" / "tiny" / "llama-gqa" / "checkpoint"
    tiny = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    tiny_tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(checkpoint / "tokenizer.json"), bos_token="<|im_start|>", eos_token="<|im_end|>"
    )
    smollm2 = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    smollm2_tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=reference_tokenizer(gguf), bos_token="<|im_start|>", eos_token="<|im_end|>"
    )
    made = {
        "tiny": {
            "windows": windows(tiny, tiny_tokenizer, 48, 24, 12),
            "questions": questions(tiny, tiny_tokenizer, TESTS / "eval" / "tiny.jsonl"),
        },
        "smollm2": {
            "windows": windows(smollm2, smollm2_tokenizer, 256, 128, 8),
            "questions": questions(smollm2, smollm2_tokenizer, LAB / "eval" / "suites" / "everyday.jsonl"),
        },
    }
    (TESTS / "fixtures" / "eval.json").write_text(json.dumps(made) + "\n")
    for name, each in made.items():
        print(name, each["questions"]["acc"], each["questions"]["accNorm"], each["windows"][0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
