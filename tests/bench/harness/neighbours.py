"""Notices when other programs use the machine: figures taken then are worth nothing."""

import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")
TOLERATED = 0.04  # of one CPU


def machine_busy():
    """CPU seconds that anything has used since the start of the machine."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def process_time(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def own_time(pids):
    """CPU seconds of this process, of children that have ended, and of `pids`."""
    total = sum(process_time(pid) for pid in pids)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class Watch:
    """What others used since it was made, as a share of one CPU. `pids` are ours and stay alive."""

    def __init__(self, pids):
        self.pids = pids
        self.start = time.monotonic()
        self.foreign = machine_busy() - own_time(pids)

    def share(self):
        used = machine_busy() - own_time(self.pids) - self.foreign
        return used / (time.monotonic() - self.start)

    def disturbed(self):
        return self.share() > TOLERATED


class Patience:
    """The seconds that a whole run may lose to other programs."""

    def __init__(self, seconds):
        self.left = seconds

    def spend(self, seconds):
        self.left -= seconds


def wait_for_quiet(patience):
    """Waits until nobody else works, at most `patience` seconds; returns those it took."""
    start = time.monotonic()
    while True:
        watch = Watch([])
        time.sleep(0.25)
        # One tick is 4 % of a quarter of a second.
        if watch.share() <= 2 * TOLERATED or time.monotonic() - start > patience:
            return time.monotonic() - start
