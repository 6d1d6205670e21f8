"""Whether a wrong user and a wrong password can be told apart by how long the refusal takes."""

import os
import socket
import statistics
import struct
import time

from .processes import Direct, Failed, Sluice, USER

LOGINS = 1000  # of each kind
CAPABILITIES = 0x00088201  # long password, protocol 4.1, secure connection, plugins


class UnlimitedSluice(Sluice):
    """Failed logins are not slowed down, which would be the same for both kinds."""

    def command(self):
        command = super().command()
        with open(command[-1], "a") as file:
            file.write("max_failed_logins = 0\n")
        return command


def read_packet(file):
    header = file.read(4)
    if len(header) < 4:
        raise Failed("timing: the connection was closed before the answer")
    return header[3], file.read(int.from_bytes(header[:3], "little"))


def refusal_time(port, user):
    """Microseconds from a proof that is wrong to the server's refusal."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = connection.makefile("rb")
        read_packet(file)
        answer = (struct.pack("<IIB23x", CAPABILITIES, 1 << 24, 45) + user.encode() + b"\0\x14" +
                  os.urandom(20) + b"mysql_native_password\0")
        start = time.perf_counter()
        connection.sendall(struct.pack("<I", len(answer) | 1 << 24) + answer)
        sequence, packet = read_packet(file)
        if packet[:1] == b"\xfe":  # another plugin is asked for
            connection.sendall(struct.pack("<I", 20 | (sequence + 1) << 24) + os.urandom(20))
            sequence, packet = read_packet(file)
        elapsed = time.perf_counter() - start
        if packet[:1] != b"\xff":
            raise Failed("timing: a wrong login was not refused")
        return elapsed * 1e6


def deviation(first, second):
    """By how many standard deviations the ranks differ from chance (Mann and Whitney)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(place for place, (_, kind) in enumerate(ranked, 1) if kind == 0)
    n, m = len(first), len(second)
    u = ranks - n * (n + 1) / 2
    return (u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5


def measure(work, database, is_ready, say):
    """Says for each way the quartiles of both kinds, and how sure one can be of a difference."""
    for contender in (Direct(work, database), UnlimitedSluice(work, database)):
        if contender.missing():
            continue
        contender.start(is_ready)
        known, unknown = [], []
        for turn in range(LOGINS + 50):
            # As long as the known one, and in turns, so that neither goes ahead.
            pair = [(known, USER), (unknown, "x" * len(USER))]
            for times, user in pair if turn % 2 else reversed(pair):
                times.append(refusal_time(contender.port, user))
        for what, times in (("wrong password", known), ("wrong user", unknown)):
            del times[:50]
            low, middle, high = statistics.quantiles(times, n=4)
            say(f"timing {contender.name}: {what}: median {middle:.0f} us, quartiles {low:.0f} and "
                f"{high:.0f} us")
        say(f"timing {contender.name}: difference of the medians "
            f"{statistics.median(known) - statistics.median(unknown):+.0f} us, "
            f"{deviation(known, unknown):+.1f} standard deviations by rank")
        contender.stop()
