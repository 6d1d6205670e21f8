"""Many sessions under load while everything is exchanged under them: tests/e2e/roll_test.cc with
the sizes that a user would not believe. It looks at its own answers; here are the figures."""

import os
import re
import subprocess

SIZES = {"SLUICE_ROLL_SESSIONS": "2000", "SLUICE_ROLL_RELOADS": "20", "SLUICE_ROLL_UPGRADES": "5"}
QUICK = {"SLUICE_ROLL_SESSIONS": "400", "SLUICE_ROLL_RELOADS": "4", "SLUICE_ROLL_UPGRADES": "2"}


def measure(build, quick, say):
    """{router: {figure: value}}; empty if the test program is not there or fails."""
    program = os.path.join(build, "e2e", "e2e_roll")
    if not os.path.exists(program):
        say(f"roll: left out: no {program} (ninja e2e_roll)")
        return {}
    ran = subprocess.run([program], env={**os.environ, **(QUICK if quick else SIZES)},
                         capture_output=True, text=True)
    if ran.returncode != 0:
        say("roll: FAILED\n" + ran.stdout[-3000:] + ran.stderr[-1000:])
        return {}
    found = {}
    for router, words in re.findall(r"^roll (\S+): (.*)$", ran.stdout, re.MULTILINE):
        names, values = words.split()[::2], words.split()[1::2]
        found[router] = dict(zip(names, map(float, values)))
        say(f"roll {router}: {words}")
    return found


def section(found):
    """The table of what measure() found."""
    lines = ["| router | sessions | reloads, upgrades | statements | errors, wrong answers | p99 quiet | "
             "p99 meanwhile | longest statement | longest roll | memory, peak |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for router, f in found.items():
        lines.append(
            f"| {router} | {f['sessions']:.0f} | {f['reloads']:.0f}, {f['upgrades']:.0f} | "
            f"{f['statements']:.0f} | {f['errors']:.0f}, {f['wrong']:.0f} | {f['p99_quiet_ms']:.1f} ms | "
            f"{f['p99_roll_ms']:.1f} ms | {f['max_roll_ms']:.0f} ms | {f['longest_roll_s']:.2f} s | "
            f"{f['memory_mib']:.0f}, {f['peak_mib']:.0f} MiB |")
    return ("Half of the sessions are encrypted on both legs, a third is within a transaction; each asks "
            "in turn and looks whether the answer is its own.\n\n" + "\n".join(lines))
