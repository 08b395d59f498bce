"""Codebases of others that an export is read by, and the lines that they need: what ``git apply`` takes.

A patch only adds lines, so that it holds none of theirs; it is for the commit that is named beside it. Without lines of
theirs `git apply` cannot see that a patch was applied before, and would put the lines elsewhere: each patch brings a
file too, and is refused where that exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsmix_gen.pipeline.exports.base import write

_COMPANIONS = Path(__file__).with_name("companions")
"""Modules for the environments of others, which have torch and their code; here they are text."""


@dataclass(frozen=True)
class Edit:
    """Lines that are added to a file of a codebase, behind the line of a number; behind 0 they are a new file."""

    file: str
    behind: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Codebase:
    """A repository at the commit that was tried.

    Attributes
    ----------
    patches : dict
        Edits by the name of the patch; each patch is applied alone.
    """

    repository: str
    commit: str
    patches: dict[str, tuple[Edit, ...]]


_NOTE = "hsmix.txt"
"""The file that each patch brings."""
_PACKAGE = Edit("datasets/__init__.py", 0, ("# Without this file the package `datasets` of Hugging Face is imported.",))
_SOFT_IMPORT = (
    "from hsmix_synapse import SoftSlices as Synapse_dataset, SoftGenerator as RandomGenerator, "
    "SoftCrossEntropy, SoftDice"
)
_UNEXT_IMPORT = "from hsmix_unext import Dataset, glob, train_test_split"
_SOFT_LOSS = "    ce_loss, dice_loss = SoftCrossEntropy(), SoftDice()"
_PICTURE = "            label_batch = label_batch.argmax(1)"


def _read_again(file: str, behind: int, *options: str) -> Edit:
    """Return the edit that takes options of the command line once more, where a program has overwritten them."""
    lines = (
        "    given = parser.parse_args()",
        f"    for name in {options}:",
        "        setattr(args, name, getattr(given, name))",
    )
    return Edit(file, behind, lines)


_TRANSUNET = (
    _PACKAGE,
    _read_again("test.py", 94, "num_classes", "volume_path", "list_dir"),
    _read_again("train.py", 67, "num_classes", "root_path", "list_dir"),
)
TRANSUNET = Codebase(
    "https://github.com/Beckschen/TransUNet",
    "02ef0010b36eb8328b5e689eadaf613602edf9b8",
    {
        "transunet": _TRANSUNET,
        "transunet-soft": (
            *_TRANSUNET,
            Edit("trainer.py", 19, (f"    {_SOFT_IMPORT}",)),
            Edit("trainer.py", 42, (_SOFT_LOSS,)),
            Edit("trainer.py", 57, (_PICTURE,)),
        ),
    },
)
# Its own loader of validation reads the training images; its test takes off one axis more than volumes have.
_SWIN_LOADER = Edit(
    "trainer.py", 44, ("    val_loader = DataLoader(db_val, batch_size=batch_size, num_workers=args.num_workers)",)
)
_SWIN_VOLUME = Edit("utils.py", 61, ("    image, label = image[None], label[None]",))
SWIN_UNET = Codebase(
    "https://github.com/HuCaoFighting/Swin-Unet",
    "f48f623e226e25b6e395c37207915c50aaa9c776",
    {
        "swin-unet": (_SWIN_LOADER, _SWIN_VOLUME),
        "swin-unet-soft": (
            Edit("trainer.py", 19, (f"    {_SOFT_IMPORT}",)),
            _SWIN_LOADER,
            Edit("trainer.py", 49, (_SOFT_LOSS,)),
            Edit("trainer.py", 68, (_PICTURE,)),
            _SWIN_VOLUME,
        ),
    },
)
HIFORMER = Codebase(
    "https://github.com/amirhossein-kz/HiFormer",
    "6726d2845bed3c7f7e28156d90bed510b34a6f9b",
    {
        "hiformer-soft": (
            Edit("trainer.py", 19, (_SOFT_IMPORT,)),
            Edit("trainer.py", 104, (_SOFT_LOSS,)),
            Edit("trainer.py", 130, (_PICTURE,)),
        ),
    },
)
UNEXT = Codebase(
    "https://github.com/jeya-maria-jose/UNeXt-pytorch",
    "6ad0855114a35afbf81decf5dc912cd8de70476a",
    {
        "unext": (
            Edit("train.py", 23, (_UNEXT_IMPORT,)),
            Edit("val.py", 20, (_UNEXT_IMPORT,)),
        )
    },
)
UDTRANSNET = Codebase(
    "https://github.com/McGregorWwww/UDTransNet",
    "46575873ef675acdc5d0aa5f79d5e48e99126339",
    {
        "udtransnet": (
            # Its test divides sums by the number of test images of GlaS, 80.
            Edit("test_kfold.py", 229, ("    test_num = len(filelists)",)),
            Edit("train_kfold.py", 19, ("from hsmix_udtransnet import ImageToImage2D_kfold, KFold",)),
        )
    },
)
MEDSAM = Codebase(
    "https://github.com/bowang-lab/MedSAM",
    "d71e8a1a99ad751840a22a7fa3ecfb4166fb1488",
    # The Dice loss of MONAI takes no integers since 1.5.
    {"medsam": (Edit("train_one_gpu.py", 319, ("            gt2D = gt2D.float()",)),)},
)
NNUNET = Codebase("https://github.com/MIC-DKFZ/nnUNet", "0e495086eb108ff79afe106291e8c15bd2f2bc3a", {})


def patch_text(edits: Sequence[Edit]) -> str:
    """Return edits, in the order of files and lines, as a patch for ``git apply --unidiff-zero``."""
    lines: list[str] = []
    file, added = "", 0
    for edit in edits:
        if edit.file != file:
            file, added = edit.file, 0
            lines.append(f"diff --git a/{file} b/{file}")
            lines += [f"--- a/{file}"] if edit.behind else ["new file mode 100644", "--- /dev/null"]
            lines.append(f"+++ b/{file}")
        lines.append(f"@@ -{edit.behind},0 +{edit.behind + added + 1},{len(edit.lines)} @@")
        lines += [f"+{line}" for line in edit.lines]
        added += len(edit.lines)
    return "".join(f"{line}\n" for line in lines)


def write_patches(folder: Path, *codebases: Codebase) -> None:
    """Write the patches of some codebases below ``code/``."""
    for codebase in codebases:
        for name, edits in codebase.patches.items():
            note = f"{name}.patch of hsmix-gen was applied here; git apply --unidiff-zero -R takes it back."
            text = patch_text((*edits, Edit(_NOTE, 0, (note,))))
            write(folder / "code" / f"{name}.patch", text.encode())


def write_companion(folder: Path, module: str) -> None:
    """Write a module that an export brings below ``code/``, which goes into PYTHONPATH; it needs nothing of ours."""
    write(folder / "code" / f"{module}.py", (_COMPANIONS / f"{module}.py.txt").read_bytes())
