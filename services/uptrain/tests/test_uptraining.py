"""Uptraining brings a tied model nearer to the original that it is distilled from."""

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import torch
from places import RECIPES

from exported_directory import ouro_config, read_directory, trained_manifest, write_directory
from model import RecursiveModel
from questions import questions
from recipe import Phase, read_recipe
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


if __name__ == "__main__":
    unittest.main()
