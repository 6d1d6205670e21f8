"""User time of a relayed statement in cycles of the time-stamp counter, by ../user_cycles.cc.

The kernel's own figure for it goes by samples, which hold about half a microsecond of its entry and
exit code. Other programs on the machine don't enter into this one, except through the caches."""

import os
import platform
import shutil
import struct

from harness.figures import number, table
from harness.processes import Haproxy, Relay, Sluice, find_program

CLIENTS = 16
STATEMENTS_PER_SECOND = 20000  # so that a round takes about as long as others

TEXT = """What a process computes between the return of one system call and the entry of the next: \
cycles of the time-stamp counter, medians. Gaps with an interrupt or another process in them are \
left out; reading the counter adds some 40 cycles to each gap. The target goes by this and not by \
the user time of point selects: that is sampled by the kernel's tick and holds about 0.5 µs a \
statement of the kernel's own entry and exit code for every contender."""


def unfit():
    """Why no cycles can be counted here, or None."""
    if platform.machine() != "x86_64":
        return "cycles are counted on x86-64 only"
    with open("/proc/cpuinfo") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    if not {"constant_tsc", "nonstop_tsc"} <= set(flags):
        return "the time-stamp counter of this CPU is not constant"
    return None


class Counted:
    """A contender with its counters in a file. `folder` is laid out as ../counted.cc wants it."""

    def missing(self):
        library = find_program(self.work.build, "libbench_user_cycles.so")
        reason = super().missing() or unfit()
        if reason or not library:
            return reason or f"no libbench_user_cycles.so under {self.work.build}"
        self.folder = self.work.path(f"counted-{self.name}")
        os.makedirs(os.path.join(self.folder, "real"))
        os.symlink(library, os.path.join(self.folder, "user_cycles.so"))
        self.counters = os.path.join(self.folder, "counters")
        return None

    def command(self):
        with open(self.counters, "wb") as file:
            file.write(bytes(4096))
        return ["env", f"LD_PRELOAD={self.folder}/user_cycles.so",
                f"SLUICE_BENCH_CYCLES={self.counters}"] + super().command()

    def read(self):
        """Rate of the counter, cycles, gaps that count, gaps left out: since the start."""
        with open(self.counters, "rb") as file:
            return struct.unpack("=4Q", file.read(32))


class CountedRelay(Counted, Relay):
    pass


class CountedHaproxy(Counted, Haproxy):
    pass


class CountedSluice(Counted, Sluice):
    """Only the worker is counted: no other process has a part in a statement."""

    def missing(self):
        reason = super().missing()
        if reason:
            return reason
        stand_in = find_program(self.work.build, "bench_counted")
        programs = os.path.dirname(self.program)
        for name in ("sluiced", "sluice-monitor"):
            shutil.copy(os.path.join(programs, name), self.folder)
        shutil.copy(stand_in, os.path.join(self.folder, "sluice-worker"))
        shutil.copy(os.path.join(programs, "sluice-worker"), os.path.join(self.folder, "real"))
        self.program = os.path.join(self.folder, "sluiced")
        return None

    def command(self):
        command = super().command()
        return command[command.index(self.program):]


def contenders(work, database):
    return [kind(work, database) for kind in (CountedRelay, CountedHaproxy, CountedSluice)]


def measure(load, contender, seconds):
    statements = int(STATEMENTS_PER_SECOND * seconds)
    driver = load.start_gated("point", contender.port, clients=CLIENTS, requests=statements,
                              gate=True)
    before = contender.read()
    driver.stdin.write("\n")
    driver.stdin.flush()
    driver.stdout.readline()
    rate, cycles, gaps, left_out = contender.read()
    load.finish(driver)
    cycles, gaps, left_out = cycles - before[1], gaps - before[2], left_out - before[3]
    return {"all": {"cycles": cycles / statements, "gaps": (gaps + left_out) / statements,
                    "left_out": 100 * left_out / (gaps + left_out),
                    "us": 1e6 * cycles / statements / rate}}


def plan(arguments):
    return [("cycles", measure, arguments.seconds, arguments.rounds)]


def cycles_table(figures):
    rows = []
    for label, contender, _ in figures.rows("cycles"):
        median = {name: figures.median("cycles", contender, name)
                  for name in ("cycles", "us", "gaps", "left_out")}
        rows.append([label, number(median["cycles"], 0), number(median["us"], 3),
                     number(figures.spread("cycles", contender, "cycles"), 1),
                     number(median["gaps"], 2), number(median["cycles"] / median["gaps"], 0),
                     number(median["left_out"], 2)])
    return table(["for each statement", "user cycles", "in µs", "spread %", "gaps",
                  "cycles of a gap", "gaps left out %"], rows)


def section(figures):
    return f"{TEXT}\n\n{cycles_table(figures)}"
