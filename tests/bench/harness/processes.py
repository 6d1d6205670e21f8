"""What a benchmark run starts: the database, the contenders, and how all of it ends again."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import time

USER = "bench"
PASSWORD = "bench-secret"
WATCH_USER = "sluice"
WATCH_PASSWORD = "watch-secret"
TABLE_ROWS = 10000


class Failed(Exception):
    """A reason to stop, for people."""


class Workspace:
    """The temporary directory, the CPUs, and every process of one run."""

    def __init__(self, directory, root, build):
        self.directory = directory
        self.root = root
        self.build = build
        self.processes = []
        self.versions = {}
        self.disturbed = 0
        cpus = sorted(os.sched_getaffinity(0))
        # The contender has the last CPU for itself: its wake-ups and batches then depend on it and
        # not on how the scheduler mixes it with the database.
        self.proxy_cpus = cpus[-1:]
        self.other_cpus = cpus[:-1] or cpus

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, command, cpus, name, **options):
        """Starts `command` on `cpus`; it dies with us even if we are killed."""
        prefix = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", ",".join(map(str, cpus))]
        options.setdefault("stdin", subprocess.DEVNULL)
        with open(self.path(name + ".log"), "ab") as log:
            options.setdefault("stdout", log)
            options.setdefault("stderr", log)
            process = subprocess.Popen(prefix + command, **options)
        self.processes.append(process)
        return process

    def stop(self, process, patience=20):
        """SIGTERM, and SIGKILL to it and its children if that is not enough."""
        if process.poll() is None:
            family = descendants(process.pid)
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                for pid in [process.pid] + family:
                    kill(pid)
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def stop_all(self):
        for process in reversed(list(self.processes)):
            self.stop(process)

    def binary(self, name, sources):
        """A benchmark program of the build, or one compiled here when nothing is built yet."""
        built = find_program(self.build, name)
        if built:
            return built
        here = os.path.join(self.root, "tests", "bench")
        target = self.path(name)
        files = sorted(sum((glob.glob(os.path.join(here, s)) for s in sources), []))
        subprocess.run(["g++", "-std=c++20", "-O2", *files, "-lcrypto", "-o", target], check=True)
        return target


def find_program(directory, name):
    """The executable `name` anywhere under `directory`, or None."""
    for path in glob.glob(os.path.join(directory, "**", name), recursive=True):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def descendants(pid):
    """The pids of all children of `pid`, and theirs."""
    parents = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat) as file:
                text = file.read()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(text.split(" ", 1)[0])] = int(text.rsplit(")", 1)[1].split()[1])
    found, frontier = [], [pid]
    while frontier:
        frontier = [child for child, parent in parents.items() if parent in frontier]
        found += frontier
    return sorted(found)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, process=None, seconds=60):
    """Polls `condition`; gives up when the time is over or `process` has ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            raise Failed(f"{what}: ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not ready after {seconds} s")
        time.sleep(0.05)


class Database:
    """A private MariaDB on the loopback address. Nothing is in it before fill()."""

    def __init__(self, work, name="db", arguments=()):
        self.work = work
        self.port = free_port()
        self.socket = work.path(name + ".sock")
        owner = "root" if os.geteuid() == 0 else subprocess.getoutput("id -un")
        data = work.path(name + ".data")
        shutil.copytree(installed(work, owner), data)
        self.process = work.start(
            [shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", f"--user={owner}",
             f"--datadir={data}", f"--socket={self.socket}", f"--port={self.port}",
             f"--pid-file={work.path(name + '.pid')}", f"--tmpdir={work.directory}",
             "--bind-address=127.0.0.1", "--skip-name-resolve", "--character-set-server=utf8mb4",
             "--innodb-buffer-pool-size=128M", "--innodb-flush-log-at-trx-commit=2",
             "--max-connections=6000", "--thread-cache-size=256", "--table-open-cache=4000",
             "--open-files-limit=20000", "--back-log=4096", "--performance-schema=OFF", *arguments],
            work.other_cpus, "mariadbd")
        wait_until(lambda: self.client("SELECT 1").returncode == 0, "mariadbd", self.process)
        work.versions["MariaDB"] = self.run("SELECT version()").strip()

    def client(self, sql):
        return subprocess.run(["mariadb", "--no-defaults", "-S", self.socket, "-u", "root", "-N"],
                              input=sql, capture_output=True, text=True)

    def run(self, sql):
        """What the client prints."""
        done = self.client(sql)
        if done.returncode != 0:
            raise Failed("database: " + done.stderr.strip())
        return done.stdout

    def fill(self):
        """The accounts and rows of the benchmark."""
        host = "'127.0.0.1'"
        self.run(f"""
            DELETE FROM mysql.global_priv WHERE User='';
            FLUSH PRIVILEGES;
            CREATE DATABASE sbtest;
            USE sbtest;
            CREATE TABLE sbtest.t (id INT PRIMARY KEY, c CHAR(120) NOT NULL);
            INSERT INTO sbtest.t SELECT seq, RPAD(SHA2(seq, 512), 120, '-')
              FROM seq_1_to_{TABLE_ROWS};
            CREATE USER {USER}@{host} IDENTIFIED VIA mysql_native_password
              USING PASSWORD('{PASSWORD}');
            GRANT ALL ON sbtest.* TO {USER}@{host};
            CREATE USER {WATCH_USER}@{host} IDENTIFIED VIA mysql_native_password
              USING PASSWORD('{WATCH_PASSWORD}');
            GRANT SELECT, SHOW DATABASES, REPLICATION CLIENT, SLAVE MONITOR, BINLOG MONITOR
              ON *.* TO {WATCH_USER}@{host};""")

    def status(self, name):
        """A counter of SHOW GLOBAL STATUS."""
        return int(self.run(f"SHOW GLOBAL STATUS LIKE '{name}'").split()[1])

    def stop(self):
        self.work.stop(self.process)


def installed(work, owner):
    """A data directory as mariadb-install-db leaves it, to be copied."""
    data = work.path("installed.data")
    if not os.path.isdir(data):
        install = subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--user={owner}", f"--datadir={data}",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            capture_output=True, text=True)
        if install.returncode != 0:
            raise Failed("mariadb-install-db: " + install.stderr[-500:])
    return data


class Contender:
    """One way from the clients to the database, or to it and its replicas. start() leaves `port`
    ready for logins."""

    name = ""

    def __init__(self, work, database, replicas=()):
        self.work = work
        self.database = database
        self.databases = [database, *replicas]
        self.port = 0
        self.process = None

    def missing(self):
        """Why this contender can't take part, or None."""
        return None

    def command(self):
        raise NotImplementedError

    def start(self, is_ready):
        self.port = free_port()
        self.process = self.work.start(self.command(), self.work.proxy_cpus, self.name)
        wait_until(lambda: is_ready(self.port), self.name, self.process)

    def stop(self):
        if self.process is not None:
            self.work.stop(self.process)
        self.process = None

    def processes(self):
        """(name, pid) of all that belongs to it."""
        pids = [self.process.pid] + descendants(self.process.pid)
        return [(process_name(pid), pid) for pid in pids]


def process_name(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


class Direct(Contender):
    """No proxy at all."""

    name = "direct"

    def start(self, is_ready):
        self.port = self.database.port

    def processes(self):
        return []


class Relay(Contender):
    """The floor: relay.cc."""

    name = "relay"

    def __init__(self, work, database, replicas=()):
        super().__init__(work, database, replicas)
        self.program = work.binary("bench_relay", ["relay.cc"])

    def command(self):
        return [self.program, str(self.port), str(self.database.port)]


class Haproxy(Contender):
    """HAProxy in TCP mode: one thread, no logging, no health checks."""

    name = "haproxy"

    def missing(self):
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if program is None:
            return "not installed (apt-get install haproxy)"
        self.program = program
        first_line = subprocess.getoutput(f"{program} -v").splitlines()[0]
        self.work.versions["HAProxy"] = first_line.split()[2]
        return None

    def command(self):
        config = self.work.path("haproxy.cfg")
        with open(config, "w") as file:
            file.write(f"""global
    nbthread 1
    maxconn 6000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen mysql
    bind 127.0.0.1:{self.port}
    server db 127.0.0.1:{self.database.port}
""")
        return [self.program, "-db", "-f", config]


class Sluice(Contender):
    """sluice with the `connection` router and one worker: master, worker and monitor."""

    name = "sluice"
    router = "connection"
    settings = ""  # more lines of the service
    workers = 1

    def missing(self):
        self.program = find_program(self.work.build, "sluiced")
        self.control = find_program(self.work.build, "sluicectl")
        return None if self.program else f"no sluiced under {self.work.build}"

    def ctl(self, *words):
        """What sluicectl prints."""
        done = subprocess.run([self.control, "--socket", self.work.path("control.sock"), *words],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"sluicectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def command(self):
        servers = ", ".join(f'db{i} = "127.0.0.1:{database.port}"'
                            for i, database in enumerate(self.databases, 1))
        topology = "replication" if len(self.databases) > 1 else "single"
        password = self.work.path("watch.password")
        with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(WATCH_PASSWORD)
        identity = 'user = "nobody"\ngroup = "nogroup"\n' if os.geteuid() == 0 else ""
        config = self.work.path("sluice.toml")
        with open(config, "w") as file:
            file.write(f"""[sluice]
workers = {self.workers}
control_socket = "{self.work.path('control.sock')}"
log = {{ target = "stderr", level = "warning" }}
{identity}
[cluster.bench]
servers  = {{ {servers} }}
topology = "{topology}"
account  = {{ user = "{WATCH_USER}", password_file = "{password}" }}

[service.bench]
cluster = "bench"
router  = "{self.router}"
listen  = ["127.0.0.1:{self.port}"]
{self.settings}
""")
        return [self.program, "--foreground", "--config", config]


CONTENDERS = [Direct, Relay, Haproxy, Sluice]
