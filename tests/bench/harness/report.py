"""Turns the figures into tables and verdicts (Markdown)."""

import statistics
import subprocess

from harness import cycles, roll, split
from harness.figures import WORKER, number, table

BULK_ROWS = {"bulk100": "rows of 100 bytes", "bulk4k": "rows of 4 KiB"}


def cost_table(figures, measurement, rate, digits):
    rows = []
    for label, contender, process in figures.rows(measurement):
        cells = [number(figures.median(measurement, contender, name, process), digits)
                 for name in ("user", "kernel", "cpu")]
        whole = process == "all"
        spread = figures.spread(measurement, contender, "cpu") if whole else None
        per_second = figures.median(measurement, contender, "per_second", process)
        rows.append([label, number(per_second, 0), *cells, number(spread, 1)])
    return table(["", rate, "user", "kernel", "user + kernel", "spread %"], rows)


def latency_table(figures):
    rows = []
    for label, contender, _ in figures.rows("latency"):
        cells = [label]
        for name in ("p50", "p99"):
            value = figures.median("latency", contender, name)
            base = figures.median("latency", "direct", name)
            added = value - base if base is not None else None
            cells += [number(value, 1), number(added, 1)]
        rows.append(cells)
    return table(["µs", "p50", "over direct", "p99", "over direct"], rows)


def syscall_table(figures):
    rows = []
    for clients in (1, 16):
        measurement = f"syscalls{clients}"
        for label, contender, _ in figures.rows(measurement):
            total = figures.median(measurement, contender, "total")
            if total is None:
                continue
            calls = figures.rounds[measurement][contender][-1]["all"]
            names = ", ".join(f"{name} {count:.2f}" for name, count in
                              sorted(calls.items(), key=lambda c: -c[1]) if name != "total")
            rows.append([f"{label}, {clients} client{'s' if clients > 1 else ''}",
                         number(total, 2), names])
    return table(["calls for each statement", "all", "by name"], rows)


def memory_table(figures, levels):
    rows = []
    for label, contender, process in figures.rows("memory"):
        base = figures.median("memory", contender, "base", process)
        if base is None:
            continue
        rows.append([label, number(base / 1024, 0)] +
                    [number(figures.median("memory", contender, str(n), process), 0)
                     for n in levels])
    return table(["private user memory", "KiB with none"] +
                 [f"bytes a session at {n:,}" for n in levels], rows)


def accounts_section(accounts):
    """What harness/accounts.py found."""
    lookup, private = accounts["lookup"], accounts["private"]
    facts = table(["", "figure"], [
        ["rows of the table", number(lookup["rows"], 0)],
        ["the table (MiB)", number(lookup["bytes"] / 2**20, 1)],
        *([f"{what}: {kind} (µs)", number(value, 2)]
          for what, name in (("to find a user's account", "known"),
                             ("to find that a user has none", "unknown"),
                             ("to find that no account covers a host", "host"))
          for kind, value in zip(("mean", "p99"), lookup[name]))])
    rows = []
    for (workers, when), processes in private.items():
        cells = [number(statistics.median(processes[name]) / 1024, 0)
                 for name in ("sluiced", "sluice-monitor", WORKER)]
        rows.append([f"{when} accounts, {workers} worker{'s' if workers > 1 else ''}",
                     number(statistics.median(processes["loads"]), 2), *cells,
                     number(processes["peak"] / 1024, 0), str(processes["tables"])])
    memory = table(["a load that finds a change; private memory without the table, KiB", "load (s)",
                    "master", "monitor", "each worker", "monitor's peak", "tables"], rows)
    rows = [[f"{name}, {when}", number(r["per_second"], 0), number(r["p50_us"], 0),
             number(r["p99_us"], 0), number(r["max_us"], 0), str(r.get("swaps", "–"))]
            for (name, when), r in accounts["logins"].items()]
    logins = table(["connect, log in, one query, quit (µs)", "logins/s", "p50", "p99", "longest",
                    "loads"], rows)
    return "\n\n".join([facts, memory, logins])


def verdicts(figures, top_level):
    """(target, sluice's figure, the limit) of the issue's list; None where one is unknown."""
    def f(measurement, contender, figure):
        return figures.median(measurement, contender, figure)

    def times(value, factor):
        return None if value is None else value * factor

    rows = [
        ("CPU for a statement ≤ 1.1 × relay's (µs)",
         f("point", "sluice", "cpu"), times(f("point", "relay", "cpu"), 1.1)),
        ("CPU for a statement < HAProxy's (µs)",
         f("point", "sluice", "cpu"), f("point", "haproxy", "cpu")),
        ("user CPU for a statement < half of HAProxy's (cycles between system calls)",
         f("cycles", "sluice", "cycles"), times(f("cycles", "haproxy", "cycles"), 0.5)),
        ("system calls for a statement ≤ relay's, 1 client",
         f("syscalls1", "sluice", "total"), f("syscalls1", "relay", "total")),
        ("system calls for a statement ≤ relay's, 16 clients",
         f("syscalls16", "sluice", "total"), f("syscalls16", "relay", "total")),
        ("CPU for a login ≤ 1.5 × HAProxy's (µs)",
         f("login", "sluice", "cpu"), times(f("login", "haproxy", "cpu"), 1.5)),
        (f"user memory of an idle session at {top_level:,} ≤ 1,024 bytes",
         f("memory", "sluice", str(top_level)), 1024),
    ]
    for measurement, what in BULK_ROWS.items():
        rows.append((f"CPU for a MB of {what} ≤ HAProxy's (ms)",
                     f(measurement, "sluice", "cpu"), f(measurement, "haproxy", "cpu")))
    return rows + split.verdicts(figures)


def verdict_table(figures, top_level):
    cells = []
    for target, value, limit in verdicts(figures, top_level):
        known = value is not None and limit is not None
        if not known:
            verdict = "not measured"
        elif "≤" in target:
            # Counts of a few thousand statements differ by the calls around them.
            verdict = "met" if value <= limit * (1.01 if "calls" in target else 1) else "NOT MET"
        else:
            verdict = "met" if value < limit else "NOT MET"
        ratio = number(value / limit, 2) if known and limit else "–"
        cells.append([target, number(value, 3), number(limit, 3), ratio, verdict])
    return table(["target", "sluice", "limit", "of the limit", ""], cells)


def machine():
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    kernel = subprocess.getoutput("uname -r")
    return f"{len(models)} × {models[0] if models else 'unknown CPU'}, Linux {kernel}"


def commit(root):
    done = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return "none yet"
    # The results themselves are always newer than the commit they speak of.
    changed = subprocess.run(
        ["git", "-C", root, "status", "--porcelain", "--", ".", ":!tests/bench/RESULTS.md"],
        capture_output=True, text=True).stdout
    return done.stdout.strip() + (" and uncommitted changes" if changed.strip() else "")


def render(figures, facts, levels):
    """The whole document. `facts` are (name, value) lines for its head."""
    parts = ["# Benchmark results", "Written by `tests/bench/run`; not edited by hand.",
             "\n".join(f"- {name}: {value}" for name, value in facts)]

    def section(title, text, *measurements):
        if any(m in figures.rounds for m in measurements):
            parts.extend([f"## {title}", text])

    parts.extend(["## Targets", verdict_table(figures, levels[-1])])
    section("Point selects, 16 clients: CPU µs for each statement",
            cost_table(figures, "point", "statements/s", 2), "point")
    section("Latency of a point select, one client", latency_table(figures), "latency")
    section("Connect, log in, one query, quit; 8 at once: CPU µs for each",
            cost_table(figures, "login", "logins/s", 1), "login")
    for measurement, what in BULK_ROWS.items():
        section(f"Results of 64 MiB, {what}: CPU ms for each MB (10⁶ bytes)",
                cost_table(figures, measurement, "MB/s", 3), measurement)
    section("System calls for each statement", syscall_table(figures), "syscalls1", "syscalls16")
    section(f"User cycles for each statement, {cycles.CLIENTS} clients", cycles.section(figures),
            "cycles")
    section("Idle sessions", memory_table(figures, levels), "memory")
    parts.extend(filter(None, [split.section(figures)]))
    if figures.roll:
        parts.extend(["## Reloads and upgrades under load", roll.section(figures.roll)])
    if figures.accounts:
        parts.extend(["## 200,000 accounts", accounts_section(figures.accounts)])
    return "\n\n".join(parts) + "\n"
