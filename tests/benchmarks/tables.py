"""The figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.benchmarks.measure import Case, Sample, middle

__all__ = ["memory_table", "table"]

_MIB = 2**20
_COLUMNS = (
    "tool",
    "runs",
    "wall s",
    "wall, ours = 1",
    "CPU s",
    "CPU, ours = 1",
    "peak MiB",
    "above Airflow",
    "requests",
    "MiB stored",
)


def table(measured: Mapping[Case, list[Sample] | str], bare_bytes: int) -> str:
    """Medians by work; the ratios compare each tool with the first one of the same work, which is ours.

    :param bare_bytes: resident after the bare import of Airflow.
    """
    return "\n".join(_table(measured, bare_bytes))


def _table(measured: Mapping[Case, list[Sample] | str], bare_bytes: int) -> Iterator[str]:
    work = ""
    ours: Sample | None = None
    notes: list[str] = []
    for case, samples in measured.items():
        if case.work != work:
            yield from notes
            notes, work, ours = [], case.work, None
            yield f"\n**{work}**\n"
            yield f"| {' | '.join(_COLUMNS)} |"
            yield "|---" * len(_COLUMNS) + "|"
        if isinstance(samples, str) or not samples:
            notes.append(f"\n{case.tool}: not run, {samples or 'no round was left for it'}.")
            continue
        found = middle(samples)
        ours = ours or found
        above = f"{(found.peak - bare_bytes) / _MIB:.0f}" if case.in_airflow else ""
        yield (
            f"| {case.tool} | {len(samples)} | {found.wall:.2f} | {found.wall / ours.wall:.2f} | {found.cpu:.2f} "
            f"| {found.cpu / ours.cpu:.2f} | {found.peak / _MIB:.0f} | {above} | {found.requests:,} "
            f"| {found.stored / _MIB:,.0f} |"
        )
    yield from notes


def memory_table(measured: Mapping[Case, list[Sample] | str], bare_bytes: int) -> str:
    """The highest peak of each format at each size, above the bare import of Airflow."""
    peaks: dict[str, dict[str, str]] = {}
    for case, samples in measured.items():
        rows, _, name = case.work.partition(" rows, ")
        peak = samples if isinstance(samples, str) else f"{(max(s.peak for s in samples) - bare_bytes) / _MIB:.0f}"
        peaks.setdefault(name, {})[rows] = peak
    sizes = list(dict.fromkeys(size for of in peaks.values() for size in of))
    lines = [
        f"\nPeak in MiB above the {bare_bytes / _MIB:.0f} MiB of the bare Airflow import:\n",
        f"| format | {' | '.join(f'{size} rows' for size in sizes)} |",
        f"|---|{'---|' * len(sizes)}",
    ]
    lines += [f"| {name} | {' | '.join(of.get(size, '') for size in sizes)} |" for name, of in peaks.items()]
    return "\n".join(lines)
