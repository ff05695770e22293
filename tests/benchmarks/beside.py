"""Every benchmark of this checkout beside that of an older one, in turn, on the same files and libraries.

The older checkout's own scripts run in it, as its modules may be called otherwise; of both, rows of the same name are
compared. The peers are left out.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

from measuring import machine

HERE = Path(__file__).resolve().parents[2]

RUNS = {
    "drawing": ["--cells", "1000000", "--repeats", "5"],
    "browser": ["--cells", "1000000", "--repeats", "3", "--alone"],
    "columns": ["--cells", "100000", *(f"--skip={step}" for step in ("inflate_h5py", "open_wide_anndata"))],
    "export": ["--cells", "100000", "--repeats", "1"],
    "wide_obs": ["--repeats", "1"],
}
UNITS = {"ms": 1.0, "s": 1e3}
TIME = re.compile(r"([\d,.]+) (ms|s)")

TABLE = """\
# This checkout beside an older one

Ratios below 1: this one is faster. Medians of {repeats} runs in turn, each a new process.

{tables}

Older: {commit}

{machine}

```
python tests/benchmarks/beside.py CHECKOUT {what} --repeats {repeats} --write
```
"""


def measured(checkout: Path, name: str) -> dict[str, float]:
    """Return the first time of each row of a benchmark's tables, in ms."""
    path = os.pathsep.join(str(checkout / folder) for folder in ("backend", "app", "tests"))
    script = checkout / "tests" / "benchmarks" / f"{name}.py"
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, str(script), *RUNS[name]]
    ran = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ran.stderr[-3000:]}")
    found = {}
    for line in ran.stdout.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        at = next((at for at, cell in enumerate(cells) if TIME.fullmatch(cell)), 0)
        if at:
            number, unit = TIME.fullmatch(cells[at]).groups()
            label = re.sub(r", [\d.,]+ kB", "", ", ".join(cells[:at]))  # a picture's size is another each time
            found[label] = float(number.replace(",", "")) * UNITS[unit]
    return found


def compared(name: str, old: Path, repeats: int) -> str:
    """Run a benchmark in both checkouts in turn, and return the table of the rows that both have."""
    runs: dict[Path, list[dict[str, float]]] = {old: [], HERE: []}
    for turn in range(repeats):
        for checkout in (old, HERE) if turn % 2 == 0 else (HERE, old):
            runs[checkout].append(measured(checkout, name))
            print(f"{name}: {checkout} done", file=sys.stderr, flush=True)
    lines = [f"## {name}", "", "| | older | this | this / older (range) |", "|---|---:|---:|---:|"]
    for row in runs[HERE][0]:
        if not all(row in run for each in runs.values() for run in each):
            continue
        before, now = ([run[row] for run in runs[checkout]] for checkout in (old, HERE))
        ratios = sorted(b / a for a, b in zip(before, now, strict=True) if a)
        if ratios:
            spread = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            lines.append(f"| {row} | {median(before):,.1f} ms | {median(now):,.1f} ms | {spread} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="the older one")
    parser.add_argument("names", nargs="*", default=[*RUNS], help="which benchmarks; all by default")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="save the tables beside this script")
    options = parser.parse_args()
    load, old = os.getloadavg()[0], options.checkout.resolve()
    tables = "\n\n".join(compared(name, old, options.repeats) for name in options.names)
    log = ["git", "log", "-1", "--format=%h, %ad", "--date=short"]
    commit = subprocess.run(log, cwd=old, capture_output=True, text=True, check=True).stdout.strip()
    libraries = ("h5py", "numpy", "numba", "bokeh", "panel")
    facts = {"tables": tables, "commit": commit, "machine": machine(load, libraries), "repeats": options.repeats}
    text = TABLE.format(what=" ".join(options.names), **facts)
    print(text)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
