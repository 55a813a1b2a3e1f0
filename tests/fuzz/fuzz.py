"""Call every public function of the workbook's blocks with odd arguments, and report what goes wrong.

    python tests/fuzz/fuzz.py --calls 10000 --seed 1        # a table by module and verdict, then each distinct fault once
    python tests/fuzz/fuzz.py --seed 1 --again metrics.kid:4711   # one call again, with its traceback
    python tests/fuzz/fuzz.py --calls 2000 --match guidance # the callables whose names contain it

A call is a valid one, of which one or two arguments were made odd. It must either be answered rightly or refused by one clear
sentence of our own, before long work.
"""

import argparse
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from odd_values import Odd, describe, odd  # noqa: E402
from spec import SPECS, Arguments, Spec  # noqa: E402
from targets import load_targets  # noqa: E402
from verdict import CLEAR, FAULTS, OK, Verdict, judge, limited_memory  # noqa: E402


@dataclass(frozen=True)
class Call:
    """One call of a run: the spec, its arguments, and which of them are odd."""

    number: int
    spec: Spec
    arguments: Arguments
    odd: dict[str, Odd]

    def __str__(self) -> str:
        odds = {name: f"<{one.words}> {describe(one.value)}" for name, one in self.odd.items()}
        return f"{self.spec.name}({', '.join(f'{k}={odds.get(k) or describe(v)}' for k, v in self.arguments.items())})"


def make_call(seed: int, number: int, spec: Spec) -> Call:
    """A call of this spec: a function of the seed, the number and the spec's name."""
    rng = Random(f"{seed} {number} {spec.name}")
    torch.manual_seed(rng.getrandbits(32))
    arguments = spec.make()
    odds: dict[str, Odd] = {}
    for name in rng.sample(list(arguments), min(len(arguments), rng.choice((1, 1, 2)))):
        one = odd(spec, name, arguments[name], rng)
        if one is not None:
            odds[name] = one
    return Call(number, spec, {name: odds[name].value if name in odds else value for name, value in arguments.items()}, odds)


def run(seed: int, calls: int, specs: list[Spec]) -> Iterator[tuple[Call, Verdict]]:
    """Make the calls of this seed, one after the other."""
    torch.set_warn_always(True)
    order, weights = Random(seed), [0.2 if spec.slow else 1.0 for spec in specs]
    with limited_memory():
        for number in range(calls):
            call = make_call(seed, number, order.choices(specs, weights)[0])
            yield call, judge(call.spec, call.arguments, call.odd)


def fault_key(call: Call, verdict: Verdict) -> tuple[str, str, str]:
    """What makes two faults the same: the callable, the kind, and the words of the error."""
    return call.spec.name.partition("#")[0], verdict.kind, re.sub(r"[\d.e+-]+", "0", verdict.detail)[:90]


def table(counts: Counter[tuple[str, str]]) -> str:
    """Calls by module and verdict."""
    kinds = [kind for kind in (OK, CLEAR, *FAULTS) if any(k == kind for _, k in counts)]
    modules = sorted({module for module, _ in counts})
    lines = [f"{'module':44}" + "".join(f"{kind:>18}" for kind in kinds)]
    lines += [f"{m:44}" + "".join(f"{counts[m, kind]:18,}" for kind in kinds) for m in modules]
    return "\n".join([*lines, f"{'all':44}" + "".join(f"{sum(counts[m, k] for m in modules):18,}" for k in kinds)])


def show(call: Call) -> None:
    """Make one call and show what it does."""
    print(call)
    try:
        print(repr(call.spec.call(**call.arguments))[:2000])
    except Exception:
        traceback.print_exc(file=sys.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Call the workbook's blocks with odd arguments.")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", default="", help="make this call of a run again (NAME:NUMBER), and show its traceback")
    parser.add_argument("--match", default="", help="only callables whose name this pattern finds")
    options = parser.parse_args()
    load_targets()
    torch.set_num_threads(1)
    specs = [SPECS[name] for name in sorted(SPECS) if re.search(options.match, name)]
    if not specs:
        parser.error(f"no callable has a name like {options.match!r}")
    if options.again:
        name, _, number = options.again.rpartition(":")
        return show(make_call(options.seed, int(number), SPECS[name]))
    began, counts, faults = time.perf_counter(), Counter[tuple[str, str]](), {}
    for call, verdict in run(options.seed, options.calls, specs):
        counts[call.spec.module, verdict.kind] += 1
        if verdict.is_fault:
            faults.setdefault(fault_key(call, verdict), (call, verdict))
    print(table(counts))
    print(
        f"{options.calls:,} calls of {len(specs)} callables in {time.perf_counter() - began:.0f} s, {len(faults)} distinct faults"
    )
    for call, verdict in faults.values():
        print(f"\n{call.spec.name}:{call.number} {call}\n    {verdict.kind}: {verdict.detail}  {verdict.where}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
