"""`make bench`: a create in interleaved rounds, then pages, vault and markets; `QUICK=1` is short.

A goal that is missed fails nothing, for timings are the machine's too; a wrong answer does.
"""

import os
from contextlib import ExitStack
from pathlib import Path

from bench import markets, pages, report, usage, vault
from bench.rounds import play
from bench.stage import NO_PGBENCH, set_up
from dev.errors import CannotStart

RESULTS = Path(__file__).with_name("results.json")
ROUNDS, SECONDS = 5, 8
ELSEWHERE = "make bench reads processor time and memory from /proc, which Linux alone has."


def main() -> None:
    """Measure, print the table, and keep the results unless it was a quick run."""
    if not usage.PROC.joinpath("self", "smaps_rollup").exists():
        raise CannotStart(ELSEWHERE)
    is_quick = os.environ.get("QUICK", "0") not in {"", "0"}
    count, seconds = (1, 1) if is_quick else (ROUNDS, SECONDS)
    with ExitStack() as stack:
        stage = stack.enter_context(set_up())
        bare = stack.enter_context(stage.bare())
        if not stage.pgbench:
            print(NO_PGBENCH)
        rounds = []
        for number in range(1, count + 1):
            print(f"Round {number} of {count} …", flush=True)
            rounds.append(play(stage, bare, seconds))
        stage.refuse_gaps()
        print("The console's pages …", flush=True)
        share = 0.01 if is_quick else 1
        shown = pages.play(stage, bare, share)
        print("The vault and the book of markets …", flush=True)
        jobs = {**vault.play(stage, share), **markets.play(stage, share)}
        results = report.results(rounds, report.Once(shown, jobs), stage.versions, seconds)
    print(f"\n{report.table(results)}")
    if not is_quick:
        RESULTS.write_text(report.text(results))


if __name__ == "__main__":
    main()
