"""How many threads to compute with on a machine that others need more.

Threads of one product wait for each other: beside a busy process of higher priority two threads on two processors are slower than one.
"""

import os
from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")
# Of one processor: what others may use of it while it counts as idle.
SPARE = 0.3


class Ticks(NamedTuple):
    # Of all processors, since the machine started.
    elapsed: int
    # What of them processes spent that are not nice.
    busy: int
    # What of that was this process itself.
    own: float


def own_ticks() -> float:
    """As /proc/stat has them: of a nice process only what the kernel did for it is among those of the others."""
    spent = os.times()
    nice = os.getpriority(os.PRIO_PROCESS, 0) > 0
    return (spent.system if nice else spent.user + spent.system) * os.sysconf("SC_CLK_TCK")


def read() -> Ticks | None:
    """None on a system that does not tell."""
    if not STAT.exists():
        return None
    user, nice, system, idle, waiting, *others = (int(ticks) for ticks in STAT.read_text().split("\n", 1)[0].split()[1:9])
    return Ticks(user + nice + system + idle + waiting + sum(others), user + system + sum(others), own_ticks())


class IdleProcessors:
    def __init__(self):
        self.before = read()

    def count(self) -> int:
        """Processors that others left idle since the last call; at least one. All of them where the system does not tell."""
        processors = os.cpu_count() or 1
        now, before = read(), self.before
        if now is None or before is None:
            return processors
        self.before = now
        used = now.busy - before.busy - (now.own - before.own)
        return min(processors, max(1, int(processors - used / max(1, now.elapsed - before.elapsed) * processors + SPARE)))
