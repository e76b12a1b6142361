"""`make bench`: a create in interleaved rounds, then pages, vault and markets; `QUICK=1` is short.

A missed goal is not a failure, because timings depend on the machine. A wrong answer is.
"""

import os
from contextlib import ExitStack
from pathlib import Path

from bench import batch, growth, machines, markets, metrics, pages, report, usage, vault
from bench.peers.servers import NO_PEERS
from bench.rounds import play
from bench.stage import NO_PGBENCH, Stage, set_up
from dev.errors import CannotStart

RESULTS = Path(__file__).with_name("results.json")
ROUNDS, SECONDS = 5, 3
"""What is compared takes twice these seconds, once in each half of a round."""
NOT_LINUX = "make bench runs on Linux only: it reads processor time and memory from /proc."


def main() -> None:
    """Measure, print the table, and keep the results unless it was a quick run."""
    if not usage.PROC.joinpath("self", "smaps_rollup").exists():
        raise CannotStart(NOT_LINUX)
    is_quick = os.environ.get("QUICK", "0") not in {"", "0"}
    count, seconds = (1, 2) if is_quick else (ROUNDS, SECONDS)
    with ExitStack() as stack:
        stage = stack.enter_context(set_up())
        bare = stack.enter_context(stage.bare())
        if not stage.pgbench:
            print(NO_PGBENCH)
        if not stage.peers:
            print(NO_PEERS)
        pages.fill_clients(stage)
        rounds = []
        for number in range(1, count + 1):
            print(f"Round {number} of {count} …", flush=True)
            rounds.append(play(stage, bare, seconds))
        stage.reject_gaps()
        print("The console's pages …", flush=True)
        share = 0.01 if is_quick else 1
        shown = pages.play(stage, bare, share)
        jobs = _jobs(stage, share)
        print("The pages as the book grows …", flush=True)
        grown = growth.play(stage, share)
        results = report.results(rounds, report.Once(shown, jobs, grown), stage.versions, seconds)
    print(f"\n{report.table(results)}")
    if not is_quick:
        RESULTS.write_text(report.text(results))


def _jobs(stage: Stage, share: float) -> dict[str, float]:
    """Return what is measured once, of everything but pages."""
    print("The vault, the markets and many clients at once …", flush=True)
    jobs = {**vault.play(stage, share), **markets.play(stage, share), **batch.play(stage, share)}
    print("Machines, leases and a stop …", flush=True)
    return jobs | machines.play(stage, share) | metrics.play(stage)


if __name__ == "__main__":
    main()
