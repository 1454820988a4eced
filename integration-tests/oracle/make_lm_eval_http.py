"""Writes what lm-evaluation-harness says of a model that Rondo serves.

`python make_lm_eval_http.py URL MODEL QUESTIONS TEXTS` asks http://…/v1/completions as `--model local-completions` does and prints one
line of JSON: the log likelihood of every choice of the questions (JSON lines of query, choices and gold), acc and acc_norm, the
rolling log likelihood of every text (JSON lines of text) and bits_per_byte.
"""

import json
import sys

from lm_eval import simple_evaluate


def task(name: str, file: str, more: dict) -> dict:
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": file}}, "test_split": "test"}
    return {"task": name, **data, **more}


def main(url: str, model: str, questions: str, texts: str) -> None:
    metrics = lambda *names: [{"metric": name} for name in names]
    choice = {"output_type": "multiple_choice", "doc_to_text": "query", "doc_to_choice": "choices", "doc_to_target": "gold"}
    rolling = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "text"}
    out = simple_evaluate(
        model="local-completions",
        model_args={"model": model, "base_url": f"{url}/v1/completions"},
        batch_size=4,
        tasks=[
            task("questions", questions, {**choice, "metric_list": metrics("acc", "acc_norm")}),
            task("texts", texts, {**rolling, "metric_list": metrics("bits_per_byte")}),
        ],
        log_samples=True,
        bootstrap_iters=0,
    )
    samples = lambda name: sorted(out["samples"][name], key=lambda sample: sample["doc_id"])
    found = out["results"]
    made = {
        "logLikelihoods": [[float(r[0]) for r in sample["filtered_resps"]] for sample in samples("questions")],
        "acc": found["questions"]["acc,none"],
        "accNorm": found["questions"]["acc_norm,none"],
        "texts": [float(sample["filtered_resps"][0]) for sample in samples("texts")],
        "bitsPerByte": found["texts"]["bits_per_byte,none"],
    }
    print(json.dumps(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
