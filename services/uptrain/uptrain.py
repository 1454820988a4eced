"""Uptrains what `rondo export` wrote, distilled from the original, and goes on where it was stopped.

    rondo convert <checkpoint> --out tied --loops 2 --init average --keep-first 10 --keep-last 10 --lora-rank 64 --precision f32
    rondo export tied --safetensors --out tied-exported
    rondo convert <checkpoint> --out original --precision f32; rondo export original --safetensors --out original-exported
    python uptrain.py recipes/smollm2.json --model tied-exported --teacher original-exported --text corpus.txt --out run
    rondo convert run/model --out uptrained --precision int8

The papers train all weights (Relaxed Recursive Transformers, Bae et al. 2024, §3.4); a recipe may leave some `frozen`.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from exported_directory import read_directory, write_directory
from model import RecursiveModel
from objectives import INNER, forward_kl, next_token
from recipe import Phase, Recipe, read_recipe
from text_windows import TextWindows
from tokenizer import read_tokenizer
from train import SAVE_SECONDS, Trainer

# Held-out windows that a run is evaluated on.
EVALUATED = 8
# From this step on a run is evaluated whenever it has taken twice as many, which are even steps of a logarithm.
FIRST_EVALUATED = 8


class Uptrainer(Trainer):
    def __init__(self, recipe: Recipe, directory: Path, student: Path, teacher: Path, texts: list[Path], device: str = "cpu", **options):
        self.student = student
        self.device = torch.device(device)
        self.teacher, _, _ = read_directory(teacher)
        self.teacher.to(self.device).requires_grad_(False)
        self.texts = texts
        super().__init__(recipe, directory, **options)

    def build(self) -> RecursiveModel:
        model, self.config, self.manifest = read_directory(self.student)
        self.windows = TextWindows(read_tokenizer(self.student), self.texts, self.recipe.length)
        self.held_out = [window.to(self.device) for window in self.windows.held_out(EVALUATED)]
        with torch.no_grad():
            self.originals = [self.logits_of(self.teacher, window) for window in self.held_out]
        return model.to(self.device)

    def loss(self, phase: Phase):
        """Forward KL from the original after the last pass, and with `distil` a tenth of it after the inner ones."""
        window = self.windows.batch(self.recipe.seed, self.step, self.recipe.rows).to(self.device)
        ids, targets = window[:, :-1], window[:, 1:].flatten()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            with torch.no_grad():
                states, _ = self.teacher(ids)
                original = self.teacher.finish(states[-1]).flatten(0, 1)
            states, _ = self.forward(ids)
            logits = [self.model.finish(state).flatten(0, 1) for state in (states if phase.distil else states[-1:])]
        losses = [forward_kl(each, original) for each in logits]
        loss = losses[-1] + INNER * sum(losses[:-1])
        return loss, {"passes": [round(each.item(), 5) for each in losses], "nll": next_token(logits[-1].detach(), targets).item()}

    @staticmethod
    def logits_of(model: RecursiveModel, window: Tensor) -> Tensor:
        """Of all passes in f32, [T, vocab] for a window [1, T + 1]."""
        states, _ = model(window[:, :-1])
        return model.finish(states[-1]).flatten(0, 1)

    def evaluates(self, every: int) -> bool:
        doubled = self.step >= FIRST_EVALUATED and self.step & (self.step - 1) == 0
        return doubled or super().evaluates(every)

    @torch.no_grad()
    def evaluate(self) -> list[dict]:
        """Of held-out text, in f32: perplexity, the original's beside it, KL from the original, all after `tokens` of training."""
        sums = {"perplexity": 0.0, "original": 0.0, "kl": 0.0}
        for window, original in zip(self.held_out, self.originals):
            logits, targets = self.logits_of(self.model, window), window[:, 1:].flatten()
            sums["perplexity"] += next_token(logits, targets).item()
            sums["original"] += next_token(original, targets).item()
            sums["kl"] += forward_kl(logits, original).item()
        means = {name: total / len(self.held_out) for name, total in sums.items()}
        perplexities = {name: round(math.exp(means[name]), 4) for name in ("perplexity", "original")}
        return [{"tokens": self.step * self.recipe.rows * self.recipe.length, **perplexities, "kl": round(means["kl"], 5)}]

    def run(self, evaluate_every: int, save_seconds: float) -> None:
        if self.step == 0:
            for told in self.evaluate():
                self.log({"step": 0, **told})
        super().run(evaluate_every, save_seconds)

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
    parser.add_argument("--device", default="cpu", help="where PyTorch computes: cpu, or cuda where it is there")
    parser.add_argument("--evaluate-every", type=int, default=100)
    parser.add_argument("--save-seconds", type=float, default=SAVE_SECONDS, help="between two checkpoints")
    options = parser.parse_args()
    recipe, out, threads = read_recipe(options.recipe), options.out, options.threads
    uptrainer = Uptrainer(recipe, out, options.model, options.teacher, options.text, options.device, threads=threads, compiled=False)
    uptrainer.run(options.evaluate_every, options.save_seconds)
    uptrainer.write()
