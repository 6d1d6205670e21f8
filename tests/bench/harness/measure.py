"""The measurements: each drives one started contender and returns figures by name.

A result is {"all": {figure: value}, PROCESS: {figure: value}, ...}; the processes stand apart only
where a contender has more than one."""

import collections
import json
import os
import re
import signal
import subprocess
import time

from harness.processes import Failed, PASSWORD, TABLE_ROWS, USER


class Load:
    """bench_load against one port."""

    def __init__(self, work, program):
        self.work = work
        self.program = program

    def command(self, mode, port, **options):
        """`pids=[]` and other options become --pids and so on; True stands for a bare flag."""
        options = {"user": USER, "password": PASSWORD, "table_rows": TABLE_ROWS, **options}
        command = [self.program, mode, "--port", str(port)]
        for key, value in options.items():
            if isinstance(value, list):
                value = ",".join(map(str, value))
            if value is True:
                command.append("--" + key)
            elif value != "":
                command += ["--" + key.replace("_", "-"), str(value)]
        return command

    def run(self, mode, port, **options):
        """Runs to the end; the JSON it prints."""
        process = self.work.start(self.command(mode, port, **options), self.work.other_cpus,
                                  "bench_load", stdout=subprocess.PIPE, text=True)
        output = process.communicate()[0]
        self.work.stop(process)
        if process.returncode != 0:
            raise Failed(f"bench_load {mode} failed, see its log")
        return json.loads(output)

    def start_gated(self, mode, port, **options):
        """Logs in and stands still: the process, to be released by a line on its stdin."""
        process = self.work.start(self.command(mode, port, **options), self.work.other_cpus,
                                  "bench_load", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        if process.stdout.readline() != "READY\n":
            self.work.stop(process)
            raise Failed(f"bench_load {mode} could not log in, see its log")
        return process

    def finish(self, process):
        process.stdin.close()
        process.wait()
        process.stdout.close()
        self.work.stop(process)

    def is_ready(self, port):
        """One login through `port` works."""
        command = self.command("login", port, requests=1)
        return subprocess.run(command, capture_output=True).returncode == 0


def cpu_figures(contender, report, unit):
    """CPU time in microseconds for each `unit` requests or bytes, of all and of each process."""
    names = {pid: name for name, pid in contender.processes()}
    result = {"all": collections.Counter()}
    for used in report["processes"]:
        rows = [result["all"]]
        if len(names) > 1:
            rows.append(result.setdefault(names[used["pid"]], collections.Counter()))
        for row in rows:
            row["user"] += used["user_us"] / unit
            row["kernel"] += used["kernel_us"] / unit
            row["cpu"] += (used["user_us"] + used["kernel_us"]) / unit
    return {name: dict(row) for name, row in result.items()}


def pids_of(contender):
    return [pid for _, pid in contender.processes()]


def statements(mode, clients):
    """What a point select costs: as text ("point") or prepared ("execute")."""
    def measure(load, contender, seconds):
        # Twice as long as the others: user time is little and known by samples only.
        report = load.run(mode, contender.port, clients=clients, seconds=2 * seconds, warmup=0.5,
                          pids=pids_of(contender) or "")
        result = cpu_figures(contender, report, report["requests"])
        result["all"]["per_second"] = report["per_second"]
        return result
    return measure


def latency(load, contender, seconds):
    report = load.run("latency", contender.port, seconds=seconds, warmup=0.5)
    return {"all": {"p50": report["p50_us"], "p99": report["p99_us"]}}


def login(load, contender, seconds):
    report = load.run("login", contender.port, clients=8, seconds=seconds, warmup=0.5,
                      pids=pids_of(contender) or "")
    result = cpu_figures(contender, report, report["requests"])
    result["all"]["per_second"] = report["per_second"]
    return result


def bulk(row_bytes):
    def measure(load, contender, seconds):
        report = load.run("bulk", contender.port, seconds=seconds, warmup=0.2, row_bytes=row_bytes,
                          pids=pids_of(contender) or "")
        # Microseconds for each kilobyte are milliseconds for each megabyte.
        result = cpu_figures(contender, report, report["bytes"] / 1e3)
        result["all"]["per_second"] = report["bytes"] / 1e6 / report["seconds"]
        return result
    return measure


def syscalls(clients, mode="point", only=None):
    """Calls for each statement, of all processes or of those with the name `only`."""
    def measure(load, contender, requests):
        pids = [pid for name, pid in contender.processes() if only in (None, name)]
        if not pids:
            return {"all": {}}
        driver = load.start_gated(mode, contender.port, clients=clients, requests=requests,
                                  gate=True)
        summary = load.work.path("strace.out")
        tracer = load.work.start(
            ["strace", "-c", "-f", "-o", summary] + sum((["-p", str(p)] for p in pids), []),
            load.work.other_cpus, "strace", stderr=subprocess.PIPE, text=True)
        for _ in pids:
            if "attached" not in tracer.stderr.readline():
                raise Failed("strace could not attach")
        driver.stdin.write("\n")
        driver.stdin.flush()
        driver.stdout.readline()
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        load.work.stop(tracer)
        load.finish(driver)
        return {"all": parse_strace(summary, requests)}
    return measure


def parse_strace(path, requests):
    """Calls for each statement: all, and by name where there is at least one in a hundred."""
    figures = {}
    with open(path) as file:
        for line in file:
            row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line.rstrip())
            if row and (row[2] == "total" or int(row[1]) * 100 >= requests):
                figures[row[2]] = int(row[1]) / requests
    return figures


def private_bytes(pid):
    """Memory that only this process has: what it would give back if it ended."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def settled(now):
    """What now() returns, once that no longer changes."""
    reading = now()
    for _ in range(20):
        time.sleep(0.25)
        last, reading = reading, now()
        if reading == last:
            break
    return reading


def settled_memory(contender):
    """Private bytes by process, once they no longer change."""
    return settled(lambda: {name: private_bytes(pid) for name, pid in contender.processes()})


def memory(load, contender, levels):
    """Bytes for each idle session at each of `levels` (ascending), over the same process with none.
    A few logins come first, so that what is allocated once is not counted."""
    if not contender.processes():
        return {"all": {}}
    load.run("login", contender.port, clients=4, requests=20)
    base = settled_memory(contender)
    result = {"all": {"base": sum(base.values())}}
    if len(base) > 1:
        result.update({name: {"base": value} for name, value in base.items()})
    drivers, open_sessions = [], 0
    for level in levels:
        drivers.append(load.start_gated("idle", contender.port, clients=level - open_sessions))
        open_sessions = level
        now = settled_memory(contender)
        grown = {name: now[name] - base[name] for name in base}
        result["all"][str(level)] = sum(grown.values()) / level
        for name in grown if len(base) > 1 else ():
            result[name][str(level)] = grown[name] / level
    for driver in drivers:
        load.finish(driver)
    return result


def raise_descriptor_limit(wanted=20000):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted and os.geteuid() == 0:
        hard = wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if soft < wanted else soft, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
