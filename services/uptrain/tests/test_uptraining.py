"""Uptraining brings a tied model nearer to the original that it is distilled from."""

import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import torch
from places import RECIPES

from exported_directory import ouro_config, read_directory, trained_manifest, write_directory
from gap_plot import gap_plot, power_law
from model import RecursiveModel
from questions import questions
from recipe import Phase, read_recipe
from text_windows import TextWindows
from tokenizer import END, make_tokenizer, read_tokenizer
from uptrain import Uptrainer

RECIPE = replace(
    read_recipe(RECIPES / "smoke.json"),
    length=48,
    phases=(Phase("distil", "distil", 40, 0.003, distil=True),),
)


class Uptraining(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        source = questions("text")
        self.text = self.directory / "text.txt"
        self.text.write_text("\n".join(f"{q.text} {q.answer}" for q in (next(source) for _ in range(300))))

    def write(self, name: str, depths: int, seed: int) -> Path:
        out = self.directory / name
        out.mkdir()
        make_tokenizer(out, RECIPE.seed, sample=500)
        tokenizer = read_tokenizer(out)
        shape = replace(RECIPE.shape_for(tokenizer.get_vocab_size()), depths=depths)
        model = RecursiveModel(shape)
        model.initialise(seed)
        config = ouro_config(shape, tokenizer.token_to_id(END))
        write_directory(model, out, out, config, trained_manifest(shape, name, seed, ("none", 1.0), "last-exited"), "")
        return out

    def test_the_loss_falls_and_the_directory_holds_what_was_trained(self):
        student, teacher = self.write("student", 3, 1), self.write("teacher", 2, 2)
        uptrainer = Uptrainer(RECIPE, self.directory / "run", student, teacher, [self.text], compiled=False)
        before = uptrainer.evaluate()[0]
        losses = [uptrainer.train_step()["loss"] for _ in range(RECIPE.steps)]
        self.assertLess(sum(losses[-5:]), 0.7 * sum(losses[:5]))
        after = uptrainer.evaluate()[0]
        self.assertEqual(after["original"], before["original"])
        uptrainer.write()
        written, _, _ = read_directory(self.directory / "run" / "model")
        for one, other in zip(uptrainer.model.parameters(), written.parameters()):
            self.assertTrue(torch.equal(one, other))

    def test_what_the_recipe_freezes_stays_and_the_rest_moves(self):
        student, teacher = self.write("student", 3, 1), self.write("teacher", 2, 2)
        frozen = ("embedding", "prelude")
        uptrainer = Uptrainer(replace(RECIPE, frozen=frozen), self.directory / "run", student, teacher, [self.text], compiled=False)
        before = {name: parameter.detach().clone() for name, parameter in uptrainer.model.named_parameters()}
        uptrainer.train_step()
        for name, parameter in uptrainer.model.named_parameters():
            self.assertEqual(torch.equal(parameter, before[name]), name.startswith((*frozen, "gate")), name)

    def test_a_run_is_evaluated_before_it_whenever_its_steps_have_doubled_and_at_its_end(self):
        student, teacher = self.write("student", 3, 1), self.write("teacher", 2, 2)
        uptrainer = Uptrainer(RECIPE, self.directory / "run", student, teacher, [self.text], compiled=False)
        uptrainer.run(evaluate_every=1000, save_seconds=1000)
        records = [json.loads(line) for line in (self.directory / "run" / "log.jsonl").read_text().splitlines()]
        told = [record for record in records if "kl" in record]
        self.assertEqual([record["step"] for record in told], [0, 8, 16, 32, 40])
        self.assertEqual(told[-1]["tokens"], 40 * RECIPE.rows * RECIPE.length)
        self.assertLess(told[-1]["kl"], told[0]["kl"])
        self.assertIn("if KL went on falling", gap_plot(records))


class Windows(unittest.TestCase):
    def test_the_end_of_every_text_is_held_out(self):
        with tempfile.TemporaryDirectory() as directory:
            make_tokenizer(Path(directory), 1, sample=500)
            tokenizer = read_tokenizer(Path(directory))
            paths = []
            for word in ("apples", "books"):
                paths.append(Path(directory) / word)
                paths[-1].write_text(f"{word} " * 400)
            windows = TextWindows(tokenizer, paths, 16)
            once = [len(tokenizer.encode(path.read_text(), add_special_tokens=False).ids) for path in paths]
            self.assertEqual(len(windows.evaluation), sum(ids - int(0.9 * ids) for ids in once))
            held_out = windows.held_out(4)
            self.assertEqual([tuple(window.shape) for window in held_out], [(1, 17)] * 4)
            told = tokenizer.decode(held_out[0][0].tolist()), tokenizer.decode(held_out[-1][0].tolist())
            self.assertIn("apples", told[0])
            self.assertIn("books", told[-1])


class Law(unittest.TestCase):
    def test_a_power_law_is_found_again(self):
        law = power_law([(tokens, 7 * tokens**-0.3) for tokens in (1e3, 1e4, 1e6)])
        self.assertAlmostEqual(law.factor, 7)
        self.assertAlmostEqual(law.power, 0.3)


if __name__ == "__main__":
    unittest.main()
