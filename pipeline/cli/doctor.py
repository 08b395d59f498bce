"""The state of the installation: what a run needs, whether it is there, and what to do where it is not."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.execution.human_units import size_text
from hsmix_gen.pipeline.jobs.run import processors
from hsmix_gen.schemas.extras import EXTRAS
from hsmix_gen.stages.kernels.compiled import COMPILED

_LEAST_FREE = 10 * 10**9


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    subject: str
    sound: bool
    text: str


def examine() -> tuple[str, bool]:
    """Return a line for each finding, and whether a run can be expected to work."""
    findings = [check() for check in (_versions, _extras, _processors, _kernels, _torch, _gradcam, _ray, _cache, _disk)]
    width = max(len(finding.subject) for finding in findings)
    lines = [f"{'ok ' if f.sound else 'BAD'} {f.subject:<{width}}  {f.text}" for f in findings]
    return "\n".join(lines), all(finding.sound for finding in findings)


def _guarded(subject: str, look: Callable[[], str], way_out: str) -> Finding:
    try:
        return Finding(subject, True, look())
    except Exception as error:  # whatever a broken installation raises is the finding
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Finding(subject, False, f"{reason}; {way_out}")


def _versions() -> Finding:
    found = versions.environment()
    absent = [name for name, value in found.items() if value == "absent"]
    text = ", ".join(f"{name} {value}" for name, value in found.items())
    return Finding("versions", not absent, text + (f"; install {', '.join(absent)}" if absent else ""))


def _extras() -> Finding:
    known = {extra: versions.versions_of(tuple(brought.values())) for extra, brought in EXTRAS.items() if brought}
    there = [extra for extra, found in known.items() if "absent" not in found.values()]
    missing = [f"{extra} (pip install 'hsmix-gen[{extra}]')" for extra in known if extra not in there]
    text = f"installed: {', '.join(there) or 'none'}; not installed: {', '.join(missing) or 'none'}"
    return Finding("extras", True, text)


def _processors() -> Finding:
    return Finding("processors", True, f"{processors()} may be used")


def _kernels() -> Finding:
    if COMPILED:
        return Finding("kernels", True, "the compiled loops are there")
    way_out = "install a C compiler, then hsmix-gen again"
    slow = "no compiled loops: superpixels take four times as long, samples half as long again, with the same bytes"
    return Finding("kernels", True, f"{slow}; {way_out}")


def _torch() -> Finding:
    def look() -> str:
        import torch

        if not torch.cuda.is_available():
            return f"torch {torch.__version__}, no GPU: Grad-CAM runs on the processor"
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"torch {torch.__version__}, GPU: {', '.join(names)}"

    return _guarded("torch", look, "install torch again")


def _gradcam() -> Finding:
    def look() -> str:
        import numpy as np

        from hsmix_gen.stages.saliency.fitting import build_unet
        from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCam

        network = build_unet(n_channels=1, n_classes=2, features=(4,) * 6, seed=0)
        maps = GradCam(network, ["upcat_1"], CamOptions()).maps(np.eye(32, dtype=np.uint8)[None, ..., None])
        return f"a map of {maps.shape[1]} x {maps.shape[2]} pixels was made"

    return _guarded("grad-cam", look, "install torch again")


def _ray() -> Finding:
    def look() -> str:
        from hsmix_gen.pipeline.execution.ray_runner import RayRunner
        from hsmix_gen.pipeline.execution.units import Unit

        runner = RayRunner(address=None, workers=1, processors=1, timeout_s=60)
        try:
            ((_, answer),) = runner.run([Unit("doctor", processors)])
        finally:
            runner.close()
        return f"started here, a worker answered and may use {answer} processors"

    return _guarded("ray", look, "use --backend serial meanwhile")


def _cache() -> Finding:
    def look() -> str:
        import numpy as np

        from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache

        with tempfile.TemporaryDirectory() as folder:
            cache = FeatureCache(Path(folder))
            cache.create("probe", [ArraySpec("a", (2,), "uint8")], n_rows=1, block=1)
            cache.write_block("probe", 0, range(1), {"a": np.array([[1, 2]], dtype=np.uint8)})
            value = cache.read("probe", "a", 0).tolist()
        return f"a cache in Zarr v3 wrote and read {value}"

    return _guarded("zarr", look, "install numcodecs and google-crc32c again")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    return Finding("disk", free >= _LEAST_FREE, f"{size_text(free)} free in this folder")
