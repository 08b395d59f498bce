"""nnU-Net v2: its own check, plan and preprocessing, then two iterations of its trainer on the given split."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from consuming import Report, main

NUMBER = "501"


def preprocessed(raw: Path, work: Path) -> str:
    """Run the command as users do; it raises where the check of the raw data fails."""
    command = Path(sys.executable).with_name("nnUNetv2_plan_and_preprocess")
    options = ("-d", NUMBER, "--verify_dataset_integrity", "-c", "2d", "-np", "1", "-npfp", "1")
    done = subprocess.run([str(command), *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    shutil.copyfile(raw / "splits_final.json", work / "preprocessed" / raw.name / "splits_final.json")
    return done.stdout


def trained(report: Report) -> None:
    import torch
    from nnunetv2.run.run_training import get_trainer_from_args

    torch.set_num_threads(1)
    trainer: Any = get_trainer_from_args(NUMBER, "2d", 0, device=torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, 2, 1
    step = trainer.train_step

    def kept(batch: Any) -> Any:
        outputs = step(batch)
        report.losses.append(float(outputs["loss"]))
        return outputs

    trainer.train_step = kept
    trainer.run_training()
    train, val = trainer.do_split()
    report.facts |= {"train": sorted(train), "val": sorted(val)}


def consume(folder: Path) -> dict[str, Report]:
    raw = next(folder.glob(f"Dataset{NUMBER}_*"))
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        # One process at a time, nothing compiled, no window.
        quiet = {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "f", "MPLBACKEND": "Agg"}
        places = {"raw": folder, "preprocessed": work / "preprocessed", "results": work / "results"}
        os.environ |= {**quiet, **{f"nnUNet_{name}": str(path) for name, path in places.items()}}
        report = Report(facts={"checked": preprocessed(raw, work)})
        read(raw, report)
        os.environ |= {"nnUNet_n_proc_DA": "0"}
        trained(report)
    return {"cases": report}


def read(raw: Path, report: Report) -> None:
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    described = json.loads((raw / "dataset.json").read_text())
    cases = get_filenames_of_train_images_and_targets(str(raw), described)
    first = next(iter(cases.values()))["images"][0]
    reader = determine_reader_writer_from_dataset_json(described, first, verbose=False)()
    for key, files in cases.items():
        image, _ = reader.read_images(files["images"])
        label, _ = reader.read_seg(files["label"])
        report.add(key, image=image[:, 0].transpose(1, 2, 0), mask=label[0, 0])


if __name__ == "__main__":
    main(consume)
