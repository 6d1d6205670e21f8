"""Many accounts: how long they take to load, what they take in memory, and whether logins notice
that the table is exchanged. Runs last, since it leaves the database full of accounts."""

import contextlib
import json
import os
import re
import subprocess
import threading
import time

from harness import neighbours
from harness.measure import settled
from harness.processes import Failed, PASSWORD, Sluice, find_program

ACCOUNTS = 200_000
USERS = ACCOUNTS // 4  # each has four rows
WORKERS = [1, 4]
CLIENTS = 2  # who log in at once: few, so that they don't wait for each other
TABLE = "/memfd:sluice-accounts"
MONITOR = "sluice-monitor"


class ManySluice(Sluice):
    """sluice with some number of workers."""

    def __init__(self, work, database, workers):
        super().__init__(work, database)
        self.workers = workers
        self.missing()

    def reload(self):
        """Has the accounts loaded again; the seconds until that was done."""
        start = time.monotonic()
        self.ctl("reload", "accounts")
        return time.monotonic() - start


def add_accounts(database):
    """USERS users with rows for four kinds of hosts: an address, a pattern of their own, a network
    and a pattern of all. They know the password from the loopback address, whence logins come;
    every other row has a hash of its own. May read everything, as the load selects rows."""
    proof = """JSON_OBJECT('access', 1, 'plugin', 'mysql_native_password',
                           'authentication_string', {}, 'password_last_changed', 1790000000)"""
    own = proof.format("CONCAT('*', UPPER(SHA1(CONCAT('row', {}, '-', seq))))")
    database.run(f"""
        USE sbtest;
        INSERT INTO mysql.global_priv (User, Host, Priv)
          SELECT CONCAT('bench', seq), '127.0.0.1', {proof.format(f"PASSWORD('{PASSWORD}')")}
            FROM seq_1_to_{USERS}
          UNION ALL SELECT CONCAT('bench', seq), CONCAT('10.', seq DIV 256, '.', seq % 256, '.%'),
                           {own.format(2)} FROM seq_1_to_{USERS}
          UNION ALL SELECT CONCAT('bench', seq), '172.16.0.0/255.240.0.0', {own.format(3)}
            FROM seq_1_to_{USERS}
          UNION ALL SELECT CONCAT('bench', seq), '192.168.%', {own.format(4)}
            FROM seq_1_to_{USERS};
        FLUSH PRIVILEGES;""")


def change_one(database, number):
    """A row that nobody logs in with gets another hash, so that the next load has something new."""
    database.run(f"""
        UPDATE mysql.global_priv
          SET Priv = JSON_SET(Priv, '$.authentication_string', CONCAT('*', UPPER(SHA1({number}))))
          WHERE User = 'bench1' AND Host = '192.168.%';""")


def private_without_table(pid):
    """Private bytes of a process, but for the table of accounts, which is shared by its nature
    though perhaps one process alone has touched some of its pages."""
    total, counts = 0, True
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counts = TABLE not in line
            elif counts and line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def peak(pid):
    """The most that the process ever had in memory, in bytes."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) * 1024


def private_by_process(contender):
    """Private bytes of each process: [(name, bytes)]."""
    return [(name, private_without_table(pid)) for name, pid in contender.processes()]


def tables(contender):
    """The tables of accounts that any process has open or mapped: {inode: a path to open it by}."""
    found = {}
    for _, pid in contender.processes():
        for kind in ("fd", "map_files"):
            directory = f"/proc/{pid}/{kind}"
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                try:
                    if os.readlink(path).startswith(TABLE):
                        found.setdefault(os.stat(path).st_ino, path)
                except FileNotFoundError:
                    pass  # closed meanwhile
    return found


def memory(load, database, workers, figures, when):
    """Starts sluice, has it load a few times and notes what each kind of process has to itself,
    how many tables there are, and how long the loads took."""
    contender = ManySluice(load.work, database, workers)
    contender.start(load.is_ready)
    row = figures.setdefault((workers, when), {})
    row["loads"] = [load_time(contender, database, turn) for turn in range(3)]
    for name, value in settled(lambda: private_by_process(contender)):
        row.setdefault(name, []).append(value)
    row["peak"] = max(peak(pid) for name, pid in contender.processes() if name == MONITOR)
    row["tables"] = len(tables(contender))
    return contender


def load_time(contender, database, turn):
    """Seconds for a load that finds a change."""
    change_one(database, f"'load{turn}'")
    time.sleep(1.1)  # a second must lie between two loads
    return contender.reload()


class Swaps:
    """While entered: the table changes, is loaded and exchanged as often as sluice does it."""

    def __init__(self, contender, database):
        self.contender = contender
        self.database = database
        self.count = 0
        self.failure = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set():
                change_one(self.database, f"'swap{self.count}'")
                self.contender.reload()
                self.count += 1
        except Failed as failure:
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if self.failure and kind is None:  # else it only follows from what went wrong before
            raise self.failure


def logins(load, contender, port, swapping, seconds, patience):
    """Logins while the table stays, or while it is exchanged (`swapping`). A measurement that other
    programs disturbed is repeated while `patience` lasts."""
    database = contender.database
    pids = [database.process.pid] + [pid for _, pid in contender.processes()]
    while True:
        patience.spend(neighbours.wait_for_quiet(patience.left))
        watch = neighbours.Watch(pids)
        with Swaps(contender, database) if swapping else contextlib.nullcontext() as swaps:
            result = load.run("login", port, clients=CLIENTS, seconds=seconds, warmup=0.5,
                              users=USERS)
        if swaps:
            result["swaps"] = swaps.count
        if not watch.disturbed() or patience.left <= 0:
            load.work.disturbed += watch.disturbed()
            return result
        patience.spend(time.monotonic() - watch.start)


def look_up(work, contender):
    program = find_program(work.build, "bench_lookup")
    if program is None:
        raise Failed(f"no bench_lookup under {work.build}: build the target \"benchmarks\"")
    [path] = tables(contender).values()
    done = subprocess.run([program, path], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed("bench_lookup: " + done.stderr.strip())
    lookup = json.loads(done.stdout)
    if lookup["found"] != lookup["lookups"]:
        raise Failed("bench_lookup found {found} of {lookups} accounts".format(**lookup))
    return lookup


def measure(load, database, seconds, patience, say):
    """All of it: a dictionary for report.accounts_section()."""
    work = load.work
    private = {}
    for workers in WORKERS:
        memory(load, database, workers, private, "few").stop()
    add_accounts(database)
    for workers in reversed(WORKERS):
        contender = memory(load, database, workers, private, "many")
        if workers != WORKERS[0]:
            contender.stop()
    result = {"private": private, "lookup": look_up(work, contender), "logins": {}}
    say(f"accounts: {ACCOUNTS:,} loaded")
    for name, port in (("direct", database.port), ("sluice", contender.port)):
        for when, swapping in (("quiet", False), ("during loads", True)):
            found = logins(load, contender, port, swapping, seconds, patience)
            result["logins"][(name, when)] = found
            say(f"accounts: logins {name}, {when}: p99 {found['p99_us']:.0f} µs")
    contender.stop()
    return result
