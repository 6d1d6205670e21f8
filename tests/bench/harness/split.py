"""The router read-write-split beside the router connection, over the same primary and two replicas:
what it adds to a point select, whether replicas share the reads evenly, and what a transaction
costs beside HAProxy."""

import json
import os
import shutil
import subprocess
import time

from harness import measure
from harness.figures import WORKER, number, table
from harness.processes import (Database, Failed, Haproxy, PASSWORD, Sluice, TABLE_ROWS, USER,
                               find_program, wait_until)

MODES = {"text": "point", "prepared": "execute"}
CLIENTS = [8, 16]
CALLS_CLIENTS = [1, 16]
REPLICAS = 2
REPLICATION_USER = "replica"
REPLICATION_PASSWORD = "replica-secret"
OLTP_THREADS = 8
OLTP_TURNS = 4  # the contenders are close: they take turns more often, each for a shorter time


class Cluster:
    """A primary that writes a binary log, and its replicas."""

    def __init__(self, work):
        self.primary = Database(work, "primary", self.arguments(1))
        self.primary.fill()
        self.primary.run(f"""
            CREATE USER {REPLICATION_USER}@'127.0.0.1' IDENTIFIED VIA mysql_native_password
              USING PASSWORD('{REPLICATION_PASSWORD}');
            GRANT REPLICATION SLAVE ON *.* TO {REPLICATION_USER}@'127.0.0.1';""")
        self.replicas = []
        for i in range(REPLICAS):
            replica = Database(work, f"replica{i + 1}", self.arguments(2 + i) + ["--read-only=1"])
            replica.run(f"""
                CHANGE MASTER TO master_host='127.0.0.1', master_port={self.primary.port},
                  master_user='{REPLICATION_USER}', master_password='{REPLICATION_PASSWORD}',
                  master_use_gtid=slave_pos, master_connect_retry=1;
                START SLAVE;""")
            self.replicas.append(replica)
        catch_up([self.primary, *self.replicas])

    @staticmethod
    def arguments(server_id):
        return [f"--server-id={server_id}", "--log-bin=log", "--log-slave-updates=1",
                "--sync-binlog=0"]

    def stop(self):
        for database in (*self.replicas, self.primary):
            database.stop()


def catch_up(databases):
    """Waits until the replicas have all that the primary, the first one, has written."""
    position = databases[0].run("SELECT @@gtid_binlog_pos").strip()
    for replica in databases[1:]:
        if replica.run(f"SELECT MASTER_GTID_WAIT('{position}', 60)").strip() != "0":
            raise Failed("a replica does not follow: " + replica.run("SHOW SLAVE STATUS"))


class ConnectionSluice(Sluice):
    """A session has the primary and no other server."""

    name = "connection"


class ReadingSluice(Sluice):
    """A session has one of the replicas. The servers share a CPU: against the primary alone, the
    database would answer faster and in larger batches, which is not the router's doing."""

    name = "connection"
    settings = 'target = "replica"'

    def start(self, is_ready):
        super().start(is_ready)
        wait_until(lambda: self.ctl("list", "servers").count("replica ") >= REPLICAS,
                   "sluice's replicas", self.process)


class SplitSluice(Sluice):
    """A session has a replica for its reads beside the primary."""

    name = "split"
    router = "read-write-split"

    def start(self, is_ready):
        super().start(is_ready)
        wait_until(lambda: self.ctl("list", "servers").count("replica ") >= REPLICAS and
                   self.a_replica_reads(is_ready), "sluice's replicas", self.process)

    def a_replica_reads(self, is_ready):
        """Whether one more session has its read on a replica: its account is known there too."""
        before = self.replica_reads()
        is_ready(self.port)
        return self.replica_reads() > before

    def replica_reads(self):
        for line in self.ctl("show", "service", "bench").splitlines():
            words = line.split()
            if words and words[0].rstrip(":") == "on_replica":
                return int(words[-1])
        raise Failed("sluicectl show service does not tell of the reads on replicas")


def readers(work, cluster):
    """Of point selects."""
    return [kind(work, cluster.primary, cluster.replicas) for kind in (ReadingSluice, SplitSluice)]


def contenders(work, cluster):
    """Of transactions."""
    return [kind(work, cluster.primary, cluster.replicas)
            for kind in (Haproxy, ConnectionSluice, SplitSluice)]


def statements(mode, clients):
    """measure.statements(), and where the reads ran."""
    cost = measure.statements(mode, clients)

    def counted(load, contender, seconds):
        before = [database.status("Com_select") for database in contender.databases]
        result = cost(load, contender, seconds)
        reads = [database.status("Com_select") - earlier
                 for database, earlier in zip(contender.databases, before)]
        for i, count in enumerate(reads):
            result["all"][f"share{i}"] = 100 * count / sum(reads)
        return result
    return counted


def cpu_reading(pid):
    """Nanoseconds that a process has run, and the ticks in which it was in user or kernel mode."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return total, int(fields[11]), int(fields[12])


def cpu_between(pid, before, after):
    """As bench_load reports it: the exact time, shared as the ticks are."""
    total, user, kernel = (late - early for late, early in zip(after, before))
    share = user / (user + kernel) if user + kernel else 0
    return {"pid": pid, "user_us": total / 1e3 * share, "kernel_us": total / 1e3 * (1 - share)}


def sysbench(port, *words):
    return ["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1",
            f"--mysql-port={port}", f"--mysql-user={USER}", f"--mysql-password={PASSWORD}",
            "--mysql-db=sbtest", "--tables=1", f"--table-size={TABLE_ROWS}",
            f"--threads={OLTP_THREADS}", "--time=0", *words]


def oltp(load, contender, seconds):
    """Milliseconds of CPU for each transaction of sysbench's oltp_read_write."""
    driver = load.work.start(sysbench(contender.port, "run"), load.work.other_cpus, "sysbench")
    time.sleep(1)  # statements are prepared
    pids = measure.pids_of(contender)
    start, commits = time.monotonic(), contender.database.status("Com_commit")
    before = [cpu_reading(pid) for pid in pids]
    time.sleep(2 * seconds)
    after = [cpu_reading(pid) for pid in pids]
    took = time.monotonic() - start
    commits = contender.database.status("Com_commit") - commits
    if driver.poll() is not None or commits == 0:
        raise Failed("sysbench failed, see its log")
    load.work.stop(driver)
    catch_up(contender.databases)
    used = [cpu_between(*of_one) for of_one in zip(pids, before, after)]
    result = measure.cpu_figures(contender, {"processes": used}, commits * 1e3)
    result["all"]["per_second"] = commits / took
    return result


def plan(seconds, rounds, requests):
    """(name, function, argument, rounds) of what is measured with the two routers."""
    costs = [(f"split {mode} {clients}", statements(MODES[mode], clients), seconds, rounds)
             for mode in MODES for clients in CLIENTS]
    # What the monitor does meanwhile depends on the time that it takes: the worker alone is traced.
    calls = [(f"syscalls split {mode} {clients}",
              measure.syscalls(clients, MODES[mode], only=WORKER), requests, 1)
             for mode in MODES for clients in CALLS_CLIENTS]
    return costs + calls


def plan_oltp(cluster, seconds, rounds, say):
    """The same of what HAProxy takes part in. Makes its table."""
    if shutil.which("sysbench") is None:
        say("oltp_read_write: left out: no sysbench (apt-get install sysbench)")
        return []
    done = subprocess.run(sysbench(cluster.primary.port, "prepare"), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed("sysbench: " + (done.stdout + done.stderr)[-500:])
    catch_up([cluster.primary, *cluster.replicas])
    return [("split oltp", oltp, seconds / OLTP_TURNS, rounds * OLTP_TURNS)]


def in_the_engine(work):
    """What bench_split prints: {router: {statement: {"ns": ..., "allocations": ...}}}."""
    program = find_program(work.build, "bench_split")
    if program is None:
        raise Failed(f"no bench_split under {work.build}: build the target \"benchmarks\"")
    done = subprocess.run(["taskset", "-c", ",".join(map(str, work.proxy_cpus)), program],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed("bench_split: " + done.stderr.strip())
    return json.loads(done.stdout)


def unevenness(figures):
    """How far the replica with most of the reads is above its even share, in percent."""
    shares = [figures.median(f"split text {max(CLIENTS)}", "split", f"share{i}")
              for i in range(1, REPLICAS + 1)]
    if None in shares or sum(shares) == 0:
        return None
    return 100 * (max(shares) * REPLICAS / sum(shares) - 1)


def verdicts(figures):
    """As report.verdicts(): (target, figure, the limit)."""
    def f(measurement, contender, figure):
        return figures.median(measurement, contender, figure)

    def difference(measurement, figure):
        values = [f(measurement, contender, figure) for contender in ("split", "connection")]
        return None if None in values else values[0] - values[1]

    rows = []
    for mode in MODES:
        for clients in CLIENTS:
            name = f"split {mode} {clients}"
            base = f(name, "connection", "cpu")
            rows.append((f"split, {mode}, {clients} clients: CPU ≤ 1.15 × connection's (µs)",
                         f(name, "split", "cpu"), None if base is None else 1.15 * base))
            rows.append((f"split, {mode}, {clients} clients: user CPU added ≤ 4 µs",
                         difference(name, "user"), 4))
        for clients in CALLS_CLIENTS:
            name = f"syscalls split {mode} {clients}"
            rows.append((f"split, {mode}, {clients} client{'s' if clients > 1 else ''}: "
                         "system calls ≤ connection's",
                         f(name, "split", "total"), f(name, "connection", "total")))
    engine = figures.engine.get("split", {})
    most = max((cost["allocations"] for cost in engine.values()), default=None)
    rows.append(("split: allocations for a statement ≤ 0", most, 0))
    rows.append(("split, oltp_read_write: CPU for a transaction ≤ HAProxy's (ms)",
                 f("split oltp", "split", "cpu"), f("split oltp", "haproxy", "cpu")))
    rows.append((f"split: reads at a replica ≤ 10 % above even, {max(CLIENTS)} sessions",
                 unevenness(figures), 10))
    return rows


def cost_rows(figures, name, label, digits):
    for contender in figures.rounds.get(name, {}):
        cells = [number(figures.median(name, contender, figure), digits)
                 for figure in ("user", "kernel", "cpu")]
        yield [f"{label}{contender}", number(figures.median(name, contender, "per_second"), 0),
               *cells, number(figures.spread(name, contender, "cpu"), 1)]


def call_rows(figures):
    for mode in MODES:
        for clients in CALLS_CLIENTS:
            name = f"syscalls split {mode} {clients}"
            for contender, rounds in figures.rounds.get(name, {}).items():
                calls = rounds[-1]["all"]
                names = ", ".join(f"{call} {count:.2f}" for call, count in
                                  sorted(calls.items(), key=lambda c: -c[1]) if call != "total")
                yield [f"{mode}, {clients} client{'s' if clients > 1 else ''}: {contender}",
                       number(calls.get("total"), 2), names]


def share_rows(figures):
    for mode in MODES:
        for clients in CLIENTS:
            shares = [figures.median(f"split {mode} {clients}", "split", f"share{i}")
                      for i in range(1 + REPLICAS)]
            yield [f"{mode}, {clients} sessions", *(number(share, 1) for share in shares)]


def engine_rows(engine):
    for statement in engine["split"]:
        of_two = [engine[router][statement] for router in ("connection", "split")]
        yield [statement, *(number(cost["ns"], 0) for cost in of_two),
               *(number(cost["allocations"], 4) for cost in of_two)]


def section(figures):
    """The tables, or nothing if none of it was measured."""
    costs = [row for mode in MODES for clients in CLIENTS
             for row in cost_rows(figures, f"split {mode} {clients}",
                                  f"{mode}, {clients} clients: ", 2)]
    if not costs:
        return ""
    parts = ["## Router read-write-split: a primary and two replicas",
             table(["CPU µs for each point select", "statements/s", "user", "kernel",
                    "user + kernel", "spread %"], costs),
             table(["in the engine alone", "ns, connection", "ns, split",
                    "allocations, connection", "allocations, split"], engine_rows(figures.engine))]
    calls = list(call_rows(figures))
    if calls:
        parts.append(table(["calls for each statement", "all", "by name"], calls))
    parts.append(table(["where reads ran, % of them", "primary",
                        *(f"replica {i}" for i in range(1, REPLICAS + 1))], share_rows(figures)))
    oltp_rows = list(cost_rows(figures, "split oltp", "", 3))
    if oltp_rows:
        parts.append(table([f"oltp_read_write, {OLTP_THREADS} clients: CPU ms for each transaction",
                            "transactions/s", "user", "kernel", "user + kernel", "spread %"],
                           oltp_rows))
    return "\n\n".join(parts)
