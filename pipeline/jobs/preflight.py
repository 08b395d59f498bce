"""What can be known to go wrong before work starts: folders, machines, room, and the GPU's memory."""

import errno
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution.human_units import size_text
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.ray_nodes import on_each_node
from hsmix_gen.pipeline.execution.units import Runner, Unit
from hsmix_gen.pipeline.features.cache_description import descriptions
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.pipeline.jobs.disk_space import (
    Room,
    blank_share,
    cache_need,
    check_space,
    missing_in,
    native_share,
    output_need,
)
from hsmix_gen.pipeline.jobs.node_checks import (
    Ask,
    JoiningCheck,
    check_nodes,
    ends_of,
    files_of,
    given_files,
    relevant_versions,
)
from hsmix_gen.pipeline.mixing.output_plan import OutputPlan
from hsmix_gen.pipeline.sources.inventory import Inventory
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.stages.saliency.backend import backend_of

PROBE_BYTES = 2**20
"""What is written to see that there is room: an empty file is taken where a quota is used up."""


def check_writable(folder: Path) -> None:
    """Make a folder, and refuse one that cannot take a file of 1 MiB; it is removed.

    Raises
    ------
    OutputError
        Naming the folder, what the system says and the way out.
    """
    probe = folder / f"{atomic_files.TEMPORARY}probe-{secrets.token_hex(6)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Stores have no quota that a probe would meet.
        probe.write_bytes(b"" if is_remote(folder) else bytes(PROBE_BYTES))
        atomic_files.sync(probe)
    except OSError as error:
        room = "make room, or " if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}); {room}choose another folder"
        ) from None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def check_access(folders: Sequence[Path]) -> None:
    """Refuse local folders that this user may not write, without a try.

    Raises
    ------
    OutputError
    """
    for folder in folders:
        if is_remote(folder):
            continue
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            reason = "no permission" if there.is_dir() else f"{there} is a file"
            raise OutputError(f"{folder} cannot be written ({reason}); choose another folder")


class Preflight:
    """The checks of one run: `places` as soon as machines can be asked, `plan` as soon as counts are known.

    Parameters
    ----------
    config : RunConfig
    runner : Runner
    reporter : Reporter
        Reports in one line what was checked.
    ask : callable, optional
        Asks every machine, see `on_each_node`.
    room_of : callable, optional
        Returns the room of a folder.
    """

    def __init__(
        self,
        config: RunConfig,
        runner: Runner,
        reporter: Reporter,
        *,
        ask: Ask | None = None,
        room_of: Callable[[Path], Room] | None = None,
    ) -> None:
        self._config, self._runner, self._reporter = config, runner, reporter
        self._ask_all = ask or partial(on_each_node, runner)
        self._asked: set[str] = set()
        self._room_of = room_of
        self._folders: list[Path] = []
        self._n_nodes = 0

    def places(self, source: Path | None, folders: Sequence[Path], *, finished: Path | None = None) -> None:
        """Keep the folders in use, and refuse machines that see others or run other versions.

        Parameters
        ----------
        source : Path or None
            What is read, if anything is.
        folders : sequence of Path
            The state of the output, the cache that is filled.
        finished : Path, optional
            A cache that is only read.

        Raises
        ------
        OutputError, SourceError
        """
        self._folders = list(folders)
        if self._config.run.backend == "ray" and self._config.run.address is not None:
            root = self._config.source.root
            ends = [] if source is None else ends_of(source)
            ends += ends_of(Path(root)) if root else []
            described = [] if finished is None else map(str, descriptions(finished))
            self._look_around([*ends, *given_files(self._config), *described])

    def plan(
        self, layers: Sequence[Layers], plans: Sequence[OutputPlan], *, inventory: Inventory | None = None
    ) -> None:
        """Refuse a plan that file systems, machines or GPUs cannot hold; what is finished needs nothing more.

        Parameters
        ----------
        layers : sequence of Layers
            One for each fold.
        plans : sequence of OutputPlan
            One for each fold; empty if no output is written.
        inventory : Inventory or None
            What the source holds, if it is read.

        Raises
        ------
        OutputError, SourceError, ModelError
        """
        if inventory is not None and self._n_nodes:
            self._look_around(files_of(inventory.places), inventory.discovery.layout)
        checked = []
        if self._config.run.check_space:
            blank = blank_share(inventory.scans) if inventory is not None else 0.0
            native = native_share(inventory.records, layers[0]) if inventory is not None else 0.0
            needs = [cache_need(layers, blank=blank, native=native)]
            needs += [output_need(planned, layers[0].facts, self._config, blank=blank) for planned in plans]
            room = check_space(needs, self._config, self._room_of)
            free = "" if room.free is None else f", {size_text(room.free)} free"
            checked.append(f"{size_text(room.needed)} needed{free}")
        self._try_network(layers)
        if self._n_nodes:
            checked.append("1 node shares" if self._n_nodes == 1 else f"{self._n_nodes} nodes share")
            checked[-1] += " the folders and versions"
        if checked:
            self._reporter.note(f"checked: {'; '.join(checked)}")

    def _look_around(self, files: Sequence[str], layout: str = "") -> None:
        check = JoiningCheck.of(self._folders, files, relevant_versions(self._config, layout))
        # First, as it joins the cluster, of which machines are asked then.
        self._runner.guard(check, self._reporter.warn)
        self._n_nodes = check_nodes(self._ask, self._folders, files, self._config, self._reporter.note, layout)

    def _ask(self, *call: Any) -> list[tuple[str, Any]]:
        """Ask the machines that were there from the start; those that join later check themselves."""
        answers = self._ask_all(*call)
        self._asked = self._asked or {node for node, _ in answers}
        return [(node, answer) for node, answer in answers if node in self._asked]

    def _try_network(self, layers: Sequence[Layers]) -> None:
        """Try the network on a GPU, if one is going to make maps."""
        missing = [fold for fold in layers if any(missing_in(fold, fold.saliency))]
        # The runner last: it may have to import torch to know.
        if not missing or not backend_of(self._config.saliency).has_network or not self._runner.has_gpu:
            return
        # Imports torch.
        from hsmix_gen.pipeline.features.gpu_memory import judge, try_network

        unit = Unit("check of the GPU's memory", try_network, (missing[0], self._config, Path.cwd()), uses_gpu=True)
        for _, memory in self._runner.run([unit]):
            warning = judge(memory, self._config) if memory is not None else None
            if warning:
                self._reporter.warn(warning)
