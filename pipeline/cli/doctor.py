"""The state of the installation: what a run needs, whether it is there, and what to do where it is not."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.execution.human_units import size_text
from hsmix_gen.pipeline.jobs.run import processors
from hsmix_gen.schemas.extras import EXTRAS
from hsmix_gen.stages.kernels.compiled import COMPILED

_LEAST_FREE = 10 * 10**9


Seen = tuple[bool, str]
"""Whether what was checked is sound, and words on it."""


def examine() -> tuple[str, bool]:
    """Return a line for each thing that is checked, and whether a run can be expected to work."""
    found = {subject: _guarded(look, way_out) for subject, (look, way_out) in _LOOKS.items()}
    width = max(map(len, found))
    lines = [f"{'ok ' if sound else 'BAD'} {subject:<{width}}  {text}" for subject, (sound, text) in found.items()]
    return "\n".join(lines), all(sound for sound, _ in found.values())


def _guarded(look: Callable[[], Seen], way_out: str) -> Seen:
    try:
        return look()
    except Exception as error:  # whatever a broken installation raises is the finding
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return False, f"{reason}; {way_out}"


def _versions() -> Seen:
    found = versions.environment()
    absent = [name for name, value in found.items() if value == "absent"]
    text = ", ".join(f"{name} {value}" for name, value in found.items())
    return not absent, text + (f"; install {', '.join(absent)}" if absent else "")


def _extras() -> Seen:
    known = {extra: versions.versions_of(tuple(brought.values())) for extra, brought in EXTRAS.items() if brought}
    there = [extra for extra, found in known.items() if "absent" not in found.values()]
    missing = [f"{extra} (pip install 'hsmix-gen[{extra}]')" for extra in known if extra not in there]
    return True, f"installed: {', '.join(there) or 'none'}; not installed: {', '.join(missing) or 'none'}"


def _kernels() -> Seen:
    if COMPILED:
        return True, "the compiled loops are there"
    way_out = "install a C compiler, then hsmix-gen again"
    slow = "no compiled loops: superpixels take four times as long, samples half as long again, with the same bytes"
    return True, f"{slow}; {way_out}"


def _torch() -> Seen:
    import torch

    if not torch.cuda.is_available():
        return True, f"torch {torch.__version__}, no GPU: Grad-CAM runs on the processor"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return True, f"torch {torch.__version__}, GPU: {', '.join(names)}"


def _gradcam() -> Seen:
    import numpy as np

    from hsmix_gen.stages.saliency.fitting import build_unet
    from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCam

    network = build_unet(n_channels=1, n_classes=2, features=(4,) * 6, seed=0)
    maps = GradCam(network, ["upcat_1"], CamOptions()).maps(np.eye(32, dtype=np.uint8)[None, ..., None])
    return True, f"a map of {maps.shape[1]} x {maps.shape[2]} pixels was made"


def _ray() -> Seen:
    from hsmix_gen.pipeline.execution.ray_runner import RayRunner
    from hsmix_gen.pipeline.execution.units import Unit

    runner = RayRunner(address=None, workers=1, processors=1, timeout_s=60)
    try:
        ((_, answer),) = runner.run([Unit("doctor", processors)])
    finally:
        runner.close()
    return True, f"started here, a worker answered and may use {answer} processors"


def _cache() -> Seen:
    import numpy as np

    from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache

    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        cache.create("probe", [ArraySpec("a", (2,), "uint8")], n_rows=1, block=1)
        cache.write_block("probe", 0, range(1), {"a": np.array([[1, 2]], dtype=np.uint8)})
        value = cache.read("probe", "a", 0).tolist()
    return True, f"a cache in Zarr v3 wrote and read {value}"


def _disk() -> Seen:
    free = shutil.disk_usage(Path.cwd()).free
    return free >= _LEAST_FREE, f"{size_text(free)} free in this folder"


_LOOKS: dict[str, tuple[Callable[[], Seen], str]] = {
    "versions": (_versions, "install hsmix-gen again"),
    "extras": (_extras, "install hsmix-gen again"),
    "processors": (lambda: (True, f"{processors()} may be used"), "use --workers"),
    "kernels": (_kernels, "install hsmix-gen again"),
    "torch": (_torch, "install torch again"),
    "grad-cam": (_gradcam, "install torch again"),
    "ray": (_ray, "use --backend serial meanwhile"),
    "zarr": (_cache, "install numcodecs and google-crc32c again"),
    "disk": (_disk, "choose another folder"),
}
"""What is checked, in order, and what to do where a check ends by itself."""
