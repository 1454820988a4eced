"""A held-out question counts as answered when every token of its answer is the likeliest, after each number of passes."""

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import torch
from places import RECIPES
from torch.nn import functional as F

from batches import Encoder
from exact_match import exact_match, held_out_questions
from recipe import read_recipe
from tokenizer import make_tokenizer, read_tokenizer


class Foreseeing:
    """Stands for a model that after its second pass knows every next token but those in `unknown`, and after the first none."""

    def __init__(self, shape, unknown: int):
        self.shape, self.unknown = shape, unknown

    def __call__(self, ids, mask):
        coming = ids.roll(-1, dims=1)
        return [torch.zeros_like(ids), torch.where(coming == self.unknown, 0, coming)], None

    def logits(self, state):
        return F.one_hot(state, self.shape.vocab).float()


class ExactMatch(unittest.TestCase):
    def test_every_pass_is_counted_for_itself_and_by_task(self):
        with tempfile.TemporaryDirectory() as directory:
            make_tokenizer(Path(directory), 1, sample=500)
            encoder = Encoder(read_tokenizer(Path(directory)))
        shape = replace(read_recipe(RECIPES / "smoke.json").shape_for(encoder.tokenizer.get_vocab_size()), depths=2)
        asked = held_out_questions("test", 60)
        unknown = encoder.encode(next(question for question in asked if question.task == "comparison"))[1][-2]
        first, second = exact_match(Foreseeing(shape, unknown), encoder, asked)
        self.assertEqual(set(first.values()), {0})
        expected = [unknown not in encoder.encode(question)[1] for question in asked]
        self.assertAlmostEqual(second["all"], sum(expected) / len(asked))
        of_task = [right for question, right in zip(asked, expected) if question.task == "comparison"]
        self.assertAlmostEqual(second["comparison"], sum(of_task) / len(of_task))
        self.assertTrue(0 < second["all"] < 1)


if __name__ == "__main__":
    unittest.main()
