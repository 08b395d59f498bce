"""Every folder with modules is packaged, under ``hsmix_gen``; all else but the kernels stands in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

FOLDERS = find_packages(include=["pipeline*", "schemas*", "stages*"])

# One build for Python 3.11 and all later versions, by the stable interface. It is optional: without a compiler
# libraries and Python give the same, only slower.
NATIVE = Path("stages", "kernels", "native")
KERNELS = Extension(
    "hsmix_gen.stages.kernels._native",
    sources=sorted(str(path) for path in NATIVE.glob("*.c")),
    depends=["setup.py", *sorted(str(path) for path in NATIVE.glob("*.h"))],
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    # Fused operations round once where two are written, so that labels would differ between processors.
    extra_compile_args=["-O3", "-ffp-contract=off", "-fvisibility=hidden"],
    py_limited_api=True,
    optional=True,
)

setup(
    packages=[f"hsmix_gen.{name}" for name in FOLDERS],
    ext_modules=[KERNELS],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
