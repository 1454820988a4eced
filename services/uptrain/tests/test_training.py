"""Training is the same for the same seed, and after a kill."""

import subprocess
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import torch
from places import HOME, RECIPES

from batches import training_batch
from recipe import read_recipe
from train import Trainer

RECIPE = read_recipe(RECIPES / "smoke.json")


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


class Training(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def trainer(self, name: str) -> Trainer:
        return Trainer(RECIPE, self.directory / name, compiled=False)

    def test_twenty_steps_are_the_same_for_the_same_seed(self):
        one, other = self.trainer("one"), self.trainer("other")
        for _ in range(20):
            self.assertEqual(one.train_step(), other.train_step())
        self.assertTrue(torch.equal(weights(one), weights(other)))

    def test_a_run_that_was_stopped_goes_on_to_the_same_weights(self):
        undisturbed = self.trainer("undisturbed")
        for _ in range(20):
            undisturbed.train_step()
        stopped = self.trainer("stopped")
        for _ in range(13):
            stopped.train_step()
        stopped.save()
        stopped.train_step()
        resumed = self.trainer("stopped")
        self.assertEqual(resumed.step, 13)
        for _ in range(7):
            resumed.train_step()
        self.assertTrue(torch.equal(weights(resumed), weights(undisturbed)))

    def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(self):
        directory = self.directory / "killed"
        command = [sys.executable, HOME / "train.py", RECIPES / "smoke.json", "--out", directory, "--eager", "--threads", "1"]
        run = subprocess.Popen([*command, "--save-seconds", "0"], stdout=subprocess.PIPE, text=True)
        # The first step, and the first line of the evaluation behind the first phase.
        for _ in range(2):
            run.stdout.readline()
        run.kill()
        run.communicate()
        subprocess.run([*command, "--evaluate-every", "1000"], check=True, stdout=subprocess.DEVNULL)
        resumed, undisturbed = self.trainer("killed"), self.trainer("undisturbed")
        self.assertEqual(resumed.step, RECIPE.steps)
        for _ in range(RECIPE.steps):
            undisturbed.train_step()
        self.assertTrue(torch.equal(weights(resumed), weights(undisturbed)))

    def test_a_gradient_that_is_not_finite_ends_the_run_and_the_last_state_stays(self):
        trainer = self.trainer("diverged")
        for saved, told in ((None, "was not written yet"), (3, "holds step 3 and stays")):
            if saved:
                for _ in range(saved):
                    trainer.train_step()
                trainer.save()
            weight, held = trainer.model.final_norm, trainer.model.final_norm[0].item()
            before = weights(trainer)
            with torch.no_grad():
                weight[0] = torch.nan
            with self.assertRaisesRegex(FloatingPointError, rf"step {trainer.step + 1} \(.*state\.pt {told}"):
                trainer.run(evaluate_every=1000, save_seconds=0)
            with torch.no_grad():
                weight[0] = held
            self.assertTrue(torch.equal(weights(trainer), before))
            trainer.optimizer.zero_grad(set_to_none=True)
        resumed = self.trainer("diverged")
        self.assertEqual(resumed.step, 3)
        self.assertTrue(torch.equal(weights(resumed), before))

    def test_a_recipe_whose_coda_no_loss_would_reach_is_refused_by_name_and_value(self):
        recipe = replace(RECIPE, shape={**RECIPE.shape, "coda": 1})
        with self.assertRaisesRegex(ValueError, "^recipe smoke: shape.coda 1: .*set it to 0$"):
            Trainer(recipe, self.directory / "coda", compiled=False)

    def test_the_loss_of_the_built_in_models_recipe_falls(self):
        trainer = Trainer(read_recipe(RECIPES / "built-in.json"), self.directory / "built-in", threads=2, compiled=False)
        losses = [trainer.train_step()["loss"] for _ in range(40)]
        self.assertLess(sum(losses[-5:]), 0.6 * sum(losses[:5]))

    def test_gradient_checkpoints_change_no_gradient(self):
        gradients = []
        for checkpointing in (False, True):
            trainer = Trainer(replace(RECIPE, checkpointing=checkpointing), self.directory / str(checkpointing), compiled=False)
            phase, _ = RECIPE.at(14)
            loss, _ = trainer.answer_loss(training_batch(trainer.encoder, 1, 0, 2, 160), phase)
            loss.backward()
            gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
        self.assertTrue(torch.equal(*gradients))

    def test_the_gate_phase_moves_nothing_but_the_gate(self):
        trainer = self.trainer("gate")
        trainer.step = RECIPE.steps - 2
        before = {name: parameter.clone() for name, parameter in trainer.model.named_parameters()}
        trainer.train_step()
        for name, parameter in trainer.model.named_parameters():
            self.assertEqual(torch.equal(parameter, before[name]), not name.startswith("gate"), name)


if __name__ == "__main__":
    unittest.main()
