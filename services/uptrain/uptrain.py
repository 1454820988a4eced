"""Uptrains what `rondo export` wrote, distilled from the original, and goes on where it was stopped.

    rondo convert <checkpoint> --out tied --loops 2 --init average --keep-first 10 --keep-last 10 --lora-rank 64 --precision f32
    rondo export tied --safetensors --out tied-exported
    rondo convert <checkpoint> --out original --precision f32; rondo export original --safetensors --out original-exported
    python uptrain.py recipes/smollm2.json --model tied-exported --teacher original-exported --text corpus.txt --out run
    rondo convert run/model --out uptrained --precision int8

All weights are trained, shared ones too, as in Relaxed Recursive Transformers (Bae et al. 2024, §3.4).
"""

import argparse
import math
from pathlib import Path

import torch

from exported_directory import read_directory, write_directory
from model import RecursiveModel
from objectives import INNER, forward_kl, next_token
from recipe import Phase, Recipe, read_recipe
from text_windows import TextWindows
from tokenizer import read_tokenizer
from train import SAVE_SECONDS, Trainer

# Held-out windows that a run is evaluated on.
EVALUATED = 8


class Uptrainer(Trainer):
    def __init__(self, recipe: Recipe, directory: Path, student: Path, teacher: Path, texts: list[Path], **options):
        self.student = student
        self.teacher, _, _ = read_directory(teacher)
        self.texts = texts
        super().__init__(recipe, directory, **options)

    def build(self) -> RecursiveModel:
        model, self.config, self.manifest = read_directory(self.student)
        self.windows = TextWindows(read_tokenizer(self.student), self.texts, self.recipe.length)
        return model

    def loss(self, phase: Phase):
        """Forward KL from the original after the last pass, and with `distil` a tenth of it after the inner ones."""
        window = self.windows.batch(self.recipe.seed, self.step, self.recipe.rows)
        ids, targets = window[:, :-1], window[:, 1:].flatten()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
            with torch.no_grad():
                states, _ = self.teacher(ids)
                original = self.teacher.finish(states[-1]).flatten(0, 1)
            states, _ = self.forward(ids)
            logits = [self.model.finish(state).flatten(0, 1) for state in (states if phase.distil else states[-1:])]
        losses = [forward_kl(each, original) for each in logits]
        loss = losses[-1] + INNER * sum(losses[:-1])
        return loss, {"passes": [round(each.item(), 5) for each in losses], "nll": next_token(logits[-1].detach(), targets).item()}

    @torch.no_grad()
    def evaluate(self) -> list[dict]:
        """Perplexity of held-out text, the original's beside it."""
        sums = {"perplexity": 0.0, "original": 0.0}
        held_out = self.windows.held_out(EVALUATED)
        for window in held_out:
            for name, model in (("perplexity", self.model), ("original", self.teacher)):
                states, _ = model(window[:, :-1])
                sums[name] += next_token(model.finish(states[-1]).flatten(0, 1), window[:, 1:].flatten()).item()
        return [{name: round(math.exp(total / len(held_out)), 4) for name, total in sums.items()}]

    def write(self) -> None:
        card = (self.student / "README.md").read_text()
        write_directory(self.model, self.student, self.directory / "model", self.config, self.manifest, card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="the tied model, exported")
    parser.add_argument("--teacher", type=Path, required=True, help="the original, exported")
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0, help="0 is as many as others leave idle")
    parser.add_argument("--evaluate-every", type=int, default=100)
    parser.add_argument("--save-seconds", type=float, default=SAVE_SECONDS, help="between two checkpoints")
    options = parser.parse_args()
    uptrainer = Uptrainer(
        read_recipe(options.recipe), options.out, options.model, options.teacher, options.text, threads=options.threads, compiled=False
    )
    uptrainer.run(options.evaluate_every, options.save_seconds)
    uptrainer.write()
