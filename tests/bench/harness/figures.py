"""What was measured, and how a figure and a table of them look."""

import statistics

WORKER = "sluice-worker"


class Figures:
    """All results: figures[measurement][contender] is a list of rounds."""

    def __init__(self):
        self.rounds = {}
        self.accounts = None  # of harness/accounts.py
        self.engine = {}  # of harness/split.py
        self.roll = {}  # of harness/roll.py

    def add(self, measurement, contender, result):
        self.rounds.setdefault(measurement, {}).setdefault(contender, []).append(result)

    def median(self, measurement, contender, figure, process="all"):
        values = [r[process][figure] for r in self.rounds.get(measurement, {}).get(contender, [])
                  if figure in r.get(process, {})]
        return statistics.median(values) if values else None

    def spread(self, measurement, contender, figure):
        """(largest - smallest) / median, in percent."""
        values = [r["all"][figure] for r in self.rounds[measurement][contender]
                  if figure in r["all"]]
        middle = statistics.median(values) if values else 0
        return 100 * (max(values) - min(values)) / middle if middle else None

    def rows(self, measurement):
        """(label, contender, process): each contender, and sluice's worker by itself."""
        for contender, rounds in self.rounds.get(measurement, {}).items():
            yield contender, contender, "all"
            if WORKER in rounds[0]:
                yield f"{contender}: worker alone", contender, WORKER


def number(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |",
             "| --- |" + " ---: |" * (len(headings) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
