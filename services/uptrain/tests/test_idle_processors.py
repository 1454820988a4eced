"""A trainer takes the processors that others leave idle, and is none of the others itself."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import places  # noqa: F401

import idle_processors
from idle_processors import IdleProcessors

TICKS = os.sysconf("SC_CLK_TCK")


class Idle(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.stat = Path(directory.name) / "stat"
        for patch in (
            mock.patch.object(idle_processors, "STAT", self.stat),
            mock.patch.object(os, "cpu_count", return_value=2),
            mock.patch.object(os, "times", side_effect=lambda: self.own),
            mock.patch.object(os, "getpriority", side_effect=lambda *_: self.nice),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        self.nice = 0

    def say(self, user: int, nice: int, system: int, idle: int, own: tuple[float, float]) -> None:
        """What the machine's processors did, and what of it this process did: user and system, all in seconds."""
        ticks = [seconds * TICKS for seconds in (user, nice, system, idle, 0, 0, 0, 0)]
        self.stat.write_text(f"cpu  {' '.join(map(str, ticks))} 0 0\ncpu0 \n")
        self.own = os.times_result((*own, 0.0, 0.0, 0.0))

    def count(self, *after) -> int:
        """Of two processors, 100 seconds after both stood still."""
        self.say(0, 0, 0, 0, (0, 0))
        idle = IdleProcessors()
        self.say(*after)
        return idle.count()

    def test_what_the_trainer_itself_computes_leaves_both_processors_to_it(self):
        self.assertEqual(self.count(180, 0, 10, 10, (180, 8)), 2)

    def test_what_others_compute_beside_it_is_theirs(self):
        self.assertEqual(self.count(190, 0, 5, 5, (95, 2)), 1)

    def test_a_nice_trainer_is_among_the_others_by_nothing_but_system_time(self):
        self.nice = 10
        self.assertEqual(self.count(0, 150, 40, 10, (150, 40)), 2)
        self.assertEqual(self.count(95, 100, 5, 0, (100, 3)), 1)

    def test_of_a_system_that_does_not_tell_all_processors_are_taken(self):
        self.own = os.times_result((0, 0, 0, 0, 0))
        self.assertEqual(IdleProcessors().count(), 2)


if __name__ == "__main__":
    unittest.main()
