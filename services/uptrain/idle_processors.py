"""How many threads to compute with on a machine that others need more.

Threads of one product wait for each other: beside a busy process of higher priority two threads on two processors are slower than one.
"""

import os
from pathlib import Path

STAT = Path("/proc/stat")
# Of one processor: what others may use of it while it counts as idle.
SPARE = 0.3


class IdleProcessors:
    def __init__(self):
        self.before = self.read()

    def read(self) -> tuple[int, int]:
        """Ticks of all processors since the machine started, and those of processes that are not nice."""
        user, nice, system, idle, waiting, *others = (int(ticks) for ticks in STAT.read_text().split("\n", 1)[0].split()[1:9])
        return user + nice + system + idle + waiting + sum(others), user + system + sum(others)

    def count(self) -> int:
        """Processors that others left idle since the last call; at least one."""
        total, busy = self.read()
        elapsed, used = total - self.before[0], busy - self.before[1]
        self.before = total, busy
        processors = os.cpu_count() or 1
        return max(1, int(processors - used / max(1, elapsed) * processors + SPARE))
