"""Numbers of arrays as stored pixels: windows, percentiles and z-scores, with a background that stays 0."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.config import ImageConfig
from hsmix_gen.schemas.records import Intensity, ScanResult

Numbers = npt.NDArray[Any]
Kind = Literal["none", "window", "percentile", "zscore"]
_Floats = npt.NDArray[np.float32]
_Bools = npt.NDArray[np.bool_]

SOFT_TISSUE_HU = (-160.0, 240.0)
PERCENTILES = (0.5, 99.5)
ZSCORE_LIMIT = 4.0
"""Deviations from the mean beyond which z-scores are cut where they are stored as whole numbers."""

_AIR_HU = -500.0
_BACKGROUND_SHARE = 0.05
# The least foreground value: background is exactly 0 and nothing else is, so that the body can be read back.
_FAINTEST = np.float32(2.0**-20)


@dataclass(frozen=True)
class Scale:
    """What `apply` subtracts and divides by, one number for each channel or one for all."""

    origin: tuple[float, ...]
    """Lower end of the window, or mean."""
    unit: tuple[float, ...]
    """Width of the window, or standard deviation; 0 for a constant channel, which becomes 0."""


def foreground(plane: Numbers, body: _Bools | None = None) -> _Bools:
    """Return where an (H, W, C) plane is no background, (H, W): inside the body, or without one where it is not 0.

    A given body decides alone: inside of it 0 is a value like others (0 HU is water).
    """
    return (plane != 0).any(axis=-1) if body is None else body


def measure(planes: Iterable[Numbers], intensity: Intensity, bodies: Iterable[_Bools] | None = None) -> Scale:
    """Return the scale of a volume, from all of its planes.

    Percentiles are those of `numpy.percentile`; where both fall on one value, which rare outliers alone exceed,
    least and greatest value take their place.

    Parameters
    ----------
    planes : (Z, H, W, C) array, or iterable of (H, W, C)
        Any real type; taken plane by plane.
    intensity : Intensity
    bodies : (Z, H, W) bool, or iterable of (H, W)
        Where the body is; counts with ``intensity.background`` only.

    Raises
    ------
    ValueError
        If a voxel is NaN or infinite; whoever knows the file refuses it before.
    """
    if intensity.kind == "none":
        return Scale((0.0,), (1.0,))
    if intensity.kind == "window":
        low, high = intensity.bounds
        return Scale((low,), (high - low,))
    with_bodies = ((plane, None) for plane in planes) if bodies is None else zip(planes, bodies, strict=True)
    voxels = (_voxels(plane, intensity, body) for plane, body in with_bodies)
    return _mean_scale(voxels) if intensity.kind == "zscore" else _percentile_scale(voxels, intensity.bounds)


def apply(plane: Numbers, scale: Scale, intensity: Intensity, body: _Bools | None = None) -> _Floats:
    """Return a plane in its scale: windows and percentiles in [0, 1], z-scores around 0.

    Parameters
    ----------
    plane : (H, W, C) of any real type
    scale : Scale
        What `measure` returned for the volume of the plane.
    intensity : Intensity
    body : (H, W) bool or None

    Returns
    -------
    (H, W, C) float32
        With ``intensity.background`` the background is exactly 0, and nothing else is: foreground that would
        be 0 becomes 2**-20.

    Raises
    ------
    ValueError
        If the scale is of another number of channels.
    """
    if len(scale.unit) not in (1, plane.shape[-1]):
        raise ValueError(f"the scale must have {plane.shape[-1]} channels or 1, got {len(scale.unit)}")
    unit = np.array(scale.unit)
    # float64 until here: float32 cannot hold the difference of large numbers (int32, raw scanner units).
    values = (plane - np.array(scale.origin)) / np.where(unit > 0, unit, np.inf)
    if intensity.kind in ("window", "percentile"):
        np.clip(values, 0.0, 1.0, out=values)
    scaled: _Floats = values.astype(np.float32)
    if intensity.background:
        scaled[np.abs(scaled) < _FAINTEST] = _FAINTEST
        scaled[~foreground(plane, body)] = 0
    return scaled


def to_stored(values: _Floats, dtype: str, intensity: Intensity) -> arrays.Image:
    """Return what `apply` returned, resized or not, as it is stored.

    Parameters
    ----------
    values : (H, W, C) float32
    dtype : str
        ``uint8``, ``uint16`` or ``float32``.
    intensity : Intensity

    Returns
    -------
    (H, W, C) uint8, uint16 or float32
        float32 stays as it is. [0, 1] (a z-score: its 4 deviations to either side) is spread over the whole
        range and rounded; with ``intensity.background`` over all but 0, which is background alone. Values of
        kind ``none`` are rounded and cut to the range.
    """
    if dtype == "float32":
        return np.asarray(values, np.float32)
    top = 65535 if dtype == "uint16" else 255
    if intensity.kind == "none":
        return _whole(values, top)
    share = (values / np.float32(ZSCORE_LIMIT) + 1) / 2 if intensity.kind == "zscore" else values
    if not intensity.background:
        return _whole(share * top, top)
    above = _whole(1 + np.maximum(share, 0) * (top - 1), top)
    above[values == 0] = 0
    return above


def choose_intensity(
    scans: Iterable[ScanResult], config: ImageConfig, *, has_body: bool = False
) -> tuple[Intensity, str, str]:
    """Decide how numbers become pixels, from the configuration and, where it says ``auto``, from the ranges.

    uint8 is kept; floats in [0, 1] are taken as they are; values below -500 in most images are CT, for which the
    window of soft tissue is taken; all others, MRI and what has no unit, are scaled by percentiles of each volume.

    Parameters
    ----------
    scans : iterable of ScanResult
        Of all arrays or volumes; those with a problem are left out.
    config : ImageConfig
    has_body : bool
        Whether images come with masks of the body.

    Returns
    -------
    intensity : Intensity
    dtype : str
        ``uint8``, ``uint16`` or ``float32``.
    note : str
        One sentence for the user.

    Raises
    ------
    ValueError
        If no scan is usable.
    """
    usable = [scan for scan in scans if scan.problem is None]
    if not usable:
        raise ValueError("intensities are chosen from usable images, got none")
    kind, bounds, reason = _kind(usable, config)
    hollow = float(np.median([scan.zeros for scan in usable])) >= _BACKGROUND_SHARE
    background = kind != "none" and (has_body or (hollow and kind in ("percentile", "zscore")))
    intensity = Intensity(kind, bounds, config.per_channel, background)
    dtype = config.dtype if config.dtype != "auto" else _dtype(kind, {scan.dtype for scan in usable})
    return intensity, dtype, _note(intensity, dtype, reason)


def _voxels(plane: Numbers, intensity: Intensity, body: _Bools | None) -> Numbers:
    """Return the voxels that count, (n, C), or (n, 1) if all channels have one scale."""
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        raise ValueError("voxels must be finite, got NaN or infinity")
    held = plane[foreground(plane, body)] if intensity.background else plane.reshape(-1, plane.shape[-1])
    return held if intensity.per_channel else held.reshape(-1, 1)


def _mean_scale(voxels: Iterable[Numbers]) -> Scale:
    """Return mean and standard deviation, merged plane by plane (Chan et al. 1983), without a copy of the volume."""
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for part in voxels:
        n = len(part)
        if n == 0:
            mean = np.broadcast_to(mean, part.shape[-1:])
            continue
        values = part.astype(np.float64)
        own = values.mean(axis=0)
        shift = own - mean
        squares = squares + ((values - own) ** 2).sum(axis=0) + shift**2 * (count * n / (count + n))
        mean = mean + shift * (n / (count + n))
        count += n
    deviation = np.broadcast_to(np.sqrt(squares / max(count, 1)), mean.shape)
    # Rounding leaves a constant channel a deviation of some last digits of its value.
    varied = deviation > 1e-12 * np.abs(mean)
    return Scale(tuple(mean.tolist()), tuple(np.where(varied, deviation, 0.0).tolist()))


def _percentile_scale(voxels: Iterable[Numbers], bounds: tuple[float, float]) -> Scale:
    values = np.concatenate(list(voxels))
    if len(values) == 0:
        nothing = (0.0,) * values.shape[-1]
        return Scale(nothing, nothing)
    ends = [_ends(values[:, channel].copy(), bounds) for channel in range(values.shape[-1])]
    return Scale(tuple(low for low, _ in ends), tuple(high - low for low, high in ends))


def _ends(values: Numbers, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the two percentiles of (n,) values, whose order is lost."""
    low, high = (float(end) for end in np.percentile(values, bounds, overwrite_input=True))
    return (low, high) if high > low else (float(values.min()), float(values.max()))


def _whole(values: npt.NDArray[np.floating], top: int) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    rounded: npt.NDArray[np.floating] = np.clip(np.rint(values), 0, top)
    return rounded.astype(np.uint16) if top > 255 else rounded.astype(np.uint8)


def _kind(scans: Sequence[ScanResult], config: ImageConfig) -> tuple[Kind, tuple[float, float], str]:
    """Return kind, bounds and, if they were derived, the reason."""
    if config.intensity == "percentile":
        return "percentile", config.window or PERCENTILES, ""
    if config.window is not None and config.intensity in ("auto", "window"):
        return "window", config.window, ""
    if config.intensity != "auto":
        return config.intensity, (0.0, 0.0), ""
    return _kind_of(scans)


def _kind_of(scans: Sequence[ScanResult]) -> tuple[Kind, tuple[float, float], str]:
    lows, highs = (np.array([scan.range[end] for scan in scans]) for end in (0, 1))
    floats = all(np.dtype(scan.dtype).kind == "f" for scan in scans)
    if all(scan.dtype == "uint8" for scan in scans):
        return "none", (0.0, 0.0), "all are uint8"
    if floats and lows.min() >= 0 and highs.max() <= 1:
        return "window", (0.0, 1.0), "all values lie in 0 to 1"
    if float(np.mean(lows < _AIR_HU)) > 0.5:
        return "window", SOFT_TISSUE_HU, "values below -500 look like CT"
    return "percentile", PERCENTILES, "values have no known unit"


def _dtype(kind: Kind, dtypes: set[str]) -> str:
    if kind == "zscore":
        return "float32"
    if kind == "percentile" or dtypes == {"uint8"}:
        return "uint8"
    if kind == "window" or dtypes <= {"uint8", "uint16"}:
        return "uint16"
    return "float32"


def _note(intensity: Intensity, dtype: str, reason: str) -> str:
    low, high = intensity.bounds
    name = {
        "none": "as they are",
        "window": f"window {low:g} to {high:g}",
        "percentile": f"percentiles {low:g} to {high:g} of each volume",
        "zscore": "z-scores of each volume",
    }[intensity.kind]
    kept = ", background 0" if intensity.background else ""
    why = f" ({reason}; change with --intensity, --window LOW HIGH, --dtype)" if reason else ""
    return f"intensities: {name}{kept}, stored as {dtype}{why}"
