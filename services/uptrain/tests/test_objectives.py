"""The objectives are their equations."""

import math
import unittest

import places
import torch

from objectives import early_exits, exit_gate, forward_kl, next_token


class Objectives(unittest.TestCase):
    def setUp(self):
        random = torch.Generator().manual_seed(1)
        self.passes = [torch.randn(5, 7, generator=random, requires_grad=True) for _ in range(3)]
        self.targets = torch.tensor([0, 3, 6, 2, 2])

    def test_forward_kl_is_the_teachers_expectation_and_zero_of_itself(self):
        student, teacher = self.passes[0], self.passes[1]
        p, q = teacher.softmax(-1), student.softmax(-1)
        expected = (p * (p / q).log()).sum(-1).mean()
        self.assertAlmostEqual(forward_kl(student, teacher).item(), expected.item(), places=6)
        self.assertAlmostEqual(forward_kl(teacher, teacher).item(), 0, places=6)

    def test_inner_passes_count_a_tenth(self):
        one, two, last = (next_token(logits, self.targets).item() for logits in self.passes)
        self.assertAlmostEqual(early_exits(self.passes, self.targets, False).item(), last + 0.1 * (one + two), places=6)

    def test_a_row_that_left_counts_as_a_whole_where_it_left_and_not_at_all_behind(self):
        spent = torch.tensor([1, 1, 1, 1, 1])
        loss = early_exits(self.passes, self.targets, True, spent)
        self.assertAlmostEqual(loss.item(), next_token(self.passes[0], self.targets).item(), places=6)

    def test_distillation_teaches_inner_passes_and_leaves_the_last_alone(self):
        plain, distilled = [], []
        for into, distil in ((plain, False), (distilled, True)):
            loss = early_exits(self.passes, self.targets, distil)
            into.extend(torch.autograd.grad(loss, self.passes))
        self.assertTrue(torch.equal(plain[2], distilled[2]))
        self.assertFalse(torch.allclose(plain[0], distilled[0]))

    def test_the_gate_learns_to_leave_where_the_next_pass_gains_nothing(self):
        gates = [torch.zeros(2, requires_grad=True)]
        losses = [torch.tensor([0.5, 2.0]), torch.tensor([0.5, 0.1])]
        worth = [1 / (1 + math.exp(0.25)), 1 / (1 + math.exp(-50 * (1.9 - 0.005)))]
        loss = exit_gate(gates, losses)
        self.assertAlmostEqual(loss.item(), math.log(2), places=5)
        (gradient,) = torch.autograd.grad(loss, gates)
        # d/dx of binary cross-entropy at 0 is 1/2 minus its label, over two rows.
        for found, share in zip(gradient.tolist(), worth):
            self.assertAlmostEqual(found, (0.5 - (1 - share)) / 2, places=5)


if __name__ == "__main__":
    unittest.main()
