"""What the results say: tables and figures for the manual, written between marks, and the check of planted arms."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from report import Claim, conclude, print_table

from training import plan, search
from training.arms import words_of
from training.comparisons import Comparison, Setting, against_references, comparison, corrected, scored
from training.corruptions import CORRUPTIONS
from training.results import KEY, scores_by_run
from training.statistics import Gain

README = Path(__file__).resolve().parents[2] / "README.md"
_STRONG = f"{plan.LAYER}+flips"
_CUTMIX = f"{plan.LAYER}+cutmix"
_SHOWN_SETTINGS = 12


def judge_planted(table: pa.Table) -> int:
    """Print the gains of the planted arms and return 1 if one was not found."""
    gains = {one.arm: one.gain for one in against_references(table, reference="flips")}
    rows = [[words_of(arm), interval(one), str(one.seeds)] for arm, one in gains.items()]
    print_table("gain in Dice over flips, points", ["arm", "gain", "seeds"], rows)
    good, bad = gains["planted-good"], gains["planted-bad+flips"]
    return conclude([
        Claim("four times the images: lower end of the gain", good.low, least=0.1),
        Claim("half of the labels wrong: upper end of the gain", bad.high, most=-0.1),
    ])  # fmt: skip


def write(table: pa.Table, docs: Path) -> None:
    """Write the tables into `docs`/evidence.md and the README, and the figures beside them."""
    from training import figures  # matplotlib is no need of the trainings

    page, folder = docs / "evidence.md", docs / "evidence"
    main = [one for one in against_references(table) if _is_main(one.setting)]
    strong = [one for one in main if one.reference == _STRONG and "@" not in one.arm]
    asked, relatives = ([one for one in strong if (one.arm in plan.SHOWN) is is_asked] for is_asked in (True, False))
    shown = [
        one for one in asked if one.gain.seeds > 1 and one.arm != plan.PIECES and one.setting.steps == plan.LONGEST
    ]
    put(README, "gains", gains_table(shown))
    put(page, "strong", _by_steps(asked, with_level=True))
    put(page, "relatives", gains_table(relatives, with_level=True))
    put(page, "cutmix", _by_steps(_against_cutmix(table)))
    put(page, "flips", gains_table([one for one in main if one.reference == "flips"]))
    put(page, "other scores", _score_tables(table))
    put(page, "corruptions", corruption_table(table))
    put(page, "others", gains_table([one for one in against_references(table) if not _is_main(one.setting)]))
    put(page, "copies", gains_table([one for one in main if "@" in one.arm]))
    put(page, "search", _search_tables(table))
    put(page, "plan", _plan_table(table))
    for steps in (plan.SHORT, plan.LONG, plan.LONGEST):
        ones = [one for one in strong if one.gain.seeds > 1 and one.setting.steps == steps]
        if ones:
            figures.forest(ones, folder / f"forest-{steps}.png")
    copies = _over_copies(table)
    if copies:
        figures.curve(copies, folder / "copies.png", label="offline copies of each image",
                      title="gain over strong augmentation alone, n = 40")  # fmt: skip
    images = _over_images(table)
    if images:
        figures.curve(images, folder / "images.png", label="training images",
                      title="gain over strong augmentation alone")  # fmt: skip


def _is_main(setting: Setting) -> bool:
    return (setting.network, setting.size, setting.n) == (plan.NETWORK, plan.SIZE, 40)


def interval(gain: Gain, digits: int = 2) -> str:
    """Return a gain with its interval, bold where zero lies outside; that of a single seed has none."""
    if gain.seeds < 2:
        return f"{gain.mean:+.{digits}f}"
    text = f"{gain.mean:+.{digits}f} [{gain.low:+.{digits}f}, {gain.high:+.{digits}f}]"
    return f"**{text}**" if gain.is_decided else text


def gains_table(comparisons: Sequence[Comparison], *, with_level: bool = False) -> str:
    """Return a table in Markdown: a row for each arm, a column for each setting; the number of seeds in brackets."""
    if not comparisons:
        return "Nothing was run yet."
    settings = sorted({one.setting for one in comparisons})
    arms = list(dict.fromkeys(one.arm for one in sorted(comparisons, key=lambda one: -one.gain.mean)))
    found = {(one.arm, one.setting): one for one in comparisons}
    head = ["arm", *(_title(setting, settings) for setting in settings)]
    rows = [
        [words_of(arm), *(_cell(found.get((arm, setting)), with_level=with_level) for setting in settings)]
        for arm in arms
    ]
    return markdown(head, rows)


def _by_steps(comparisons: Sequence[Comparison], *, with_level: bool = False) -> str:
    """Return a table for each budget of steps, the longest first."""
    if not comparisons:
        return gains_table(comparisons)
    budgets = sorted({one.setting.steps for one in comparisons}, reverse=True)
    tables = {
        steps: gains_table([one for one in comparisons if one.setting.steps == steps], with_level=with_level)
        for steps in budgets
    }
    return "\n\n".join(f"After {steps:,} steps:\n\n{table}" for steps, table in tables.items())


def _cell(one: Comparison | None, *, with_level: bool) -> str:
    if one is None:
        return "-"
    text = f"{interval(one.gain)} ({one.gain.seeds})"
    if not with_level:
        return text
    return f"{one.level:.1f}; {text}" + (f"; p {one.holm:.2g}" if one.gain.seeds > 1 else "")


def _title(setting: Setting, beside: Iterable[Setting]) -> str:
    """Return what distinguishes a setting."""
    others = list(beside)
    parts = [setting.dataset]
    if len({one.n for one in others}) > 1:
        parts.append(f"n = {setting.n}")
    if len({one.network for one in others}) > 1:
        parts.append(setting.network)
    if len({one.size for one in others}) > 1:
        parts.append(f"{setting.size} px")
    return ", ".join([*parts, f"{setting.steps} steps"])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _against_cutmix(table: pa.Table) -> list[Comparison]:
    ones = against_references(table, reference=_CUTMIX)
    wanted = [one for one in ones if _is_main(one.setting) and one.arm in plan.SHOWN]
    return corrected(wanted)


def _score_tables(table: pa.Table) -> str:
    parts = []
    for score, words in (("boundary_f", "Boundary F at 2 px, points"), ("hd95", "HD95, pixels (less is better)")):
        ones = [one for one in against_references(table, score=score) if _is_main(one.setting)]
        parts.append(f"{words}.\n\n{_by_steps([one for one in ones if one.arm in plan.SHOWN])}")
    return "\n\n".join(parts)


def corruption_table(table: pa.Table) -> str:
    """Return the gains over the layer alone, a column for each corruption, p corrected for their number."""
    found = [
        (name, one)
        for name in CORRUPTIONS
        for one in against_references(table, corruption=name)
        if _is_main(one.setting) and one.reference == _STRONG and "@" not in one.arm and one.gain.seeds > 1
    ]
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for (name, _), one in zip(found, corrected(one for _, one in found), strict=True):
        row = f"{one.setting.dataset}, {one.setting.steps} steps", words_of(one.arm)
        p = f"; p {one.holm:.2g}" if one.gain.is_decided else ""
        cells.setdefault(row, {})[name] = interval(one.gain) + p
    rows = [[*row, *(gains.get(name, "-") for name in CORRUPTIONS)] for row, gains in sorted(cells.items())]
    return markdown(["data", "arm", *CORRUPTIONS], rows) if rows else "Nothing was run yet."


def _over_copies(table: pa.Table) -> dict[str, list[tuple[str, Comparison]]]:
    """Return, for each arm and data set with copies, the gains over the layer alone by their number.

    All points of a line are of the same seeds.
    """
    lines: dict[str, list[tuple[str, Comparison]]] = {}
    for setting, arms in sorted(scored(table, "dice").items()):
        if not _is_main(setting) or _STRONG not in arms:
            continue
        for base in dict.fromkeys(arm.partition("@")[0] for arm in arms if "@" in arm):
            counted = sorted(
                (arm for arm in arms if arm.startswith(f"{base}@")), key=lambda arm: int(arm.partition("@")[2])
            )
            line = _of_shared_seeds({arm: arms[arm] for arm in (*counted, base, _STRONG) if arm in arms})
            points = [(arm, comparison(setting, line, arm, _STRONG, "dice")) for arm in line if arm != _STRONG]
            name = f"{setting.dataset}, {setting.steps} steps: {words_of(base)}"
            found = [
                (arm.partition("@")[2] or "fresh", one) for arm, one in points if one is not None and one.gain.seeds > 1
            ]
            if found:
                lines[name] = found
    return lines


def _of_shared_seeds(arms: dict[str, dict[tuple[str, int], float]]) -> dict[str, dict[tuple[str, int], float]]:
    """Return the scores of the seeds that all arms have."""
    shared = set.intersection(*({seed for _, seed in scores} for scores in arms.values()))
    return {arm: {key: value for key, value in scores.items() if key[1] in shared} for arm, scores in arms.items()}


def _over_images(table: pa.Table) -> dict[str, list[tuple[str, Comparison]]]:
    """Return, for each arm and data set that was run with several n, the gains over the layer alone by n."""
    lines: dict[str, list[tuple[str, Comparison]]] = {}
    for one in against_references(table, reference=_STRONG):
        setting = one.setting
        is_long = (setting.network, setting.size, setting.steps) == (plan.NETWORK, plan.SIZE, plan.LONG)
        if is_long and one.arm in plan.MAIN and one.gain.seeds > 1:
            name = f"{setting.dataset}: {words_of(one.arm)}"
            lines.setdefault(name, []).append((str(setting.n), one))
    return {name: line for name, line in lines.items() if len(line) > 1}


def _search_tables(table: pa.Table) -> str:
    """Return the rungs of the search that were run whole, and what the first one says of each choice."""
    rungs = list(search.finished_rungs(table))
    if not rungs:
        return "No rung was run whole yet."
    parts = []
    for steps, seeds, ranked in rungs:
        rows = [
            [str(place), f"{gain:+.2f}", search.words_of_choices(arm)] for place, (arm, gain) in enumerate(ranked, 1)
        ]
        best = f", the best {_SHOWN_SETTINGS} of them" if len(ranked) > _SHOWN_SETTINGS else ""
        title = f"{steps} steps, {len(seeds)} seeds, {len(ranked)} settings{best}"
        parts.append(f"{title}:\n\n{markdown(['', 'gain', 'setting'], rows[:_SHOWN_SETTINGS])}")
    rows = [
        [f"`{key}`", search.value_in_words(value), f"{mean:+.2f}", f"{error:.2f}", str(count)]
        for key, value, mean, error, count in search.by_choice(rungs[0][2])
    ]
    head = ["choice", "value", "mean gain", "standard error", "settings"]
    return "\n\n".join([*parts, f"By choice, over the settings of the first rung:\n\n{markdown(head, rows)}"])


def _plan_table(table: pa.Table) -> str:
    done = set(scores_by_run(table, "dice"))
    rows = []
    for stage in plan.STAGES:
        runs = list(stage.runs())
        rows.append([stage.question, str(len(done.intersection(runs))), str(len(runs))])
    spent = f"All {len(done)} stored runs, those of the search included, took {hours_of(table):.1f} processor hours."
    return f"{markdown(['question', 'runs done', 'runs planned'], rows)}\n\n{spent}"


def hours_of(table: pa.Table) -> float:
    """Return the time of all trainings; each row of a run names that of the run."""
    seconds = table.group_by(list(KEY)).aggregate([("seconds", "max")])["seconds_max"]
    return float(pc.sum(seconds).as_py() or 0.0) / 3600


def put(path: Path, section: str, text: str) -> None:
    """Replace what stands between the marks of a section; a file without them is left as it is."""
    if not path.is_file():
        return
    begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    path.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", path.read_text(encoding="utf-8")), "utf-8")
