"""HF datasets with nothing but the folder: the header of its card states files, splits and types of columns."""

import io
from pathlib import Path

import numpy as np
from consuming import Report, main
from datasets import load_dataset


def consume(folder: Path) -> dict[str, Report]:
    found = {}
    for split, rows in load_dataset(str(folder)).items():
        found[split] = report = Report()
        for row in rows:
            named = {name.split(".")[0].strip("_"): value for name, value in row.items()}
            soft = named["soft"]
            soft = soft["soft"] if isinstance(soft, dict) else np.load(io.BytesIO(soft))
            report.add(named["key"], image=named["image"], mask=named["mask"], soft=np.array(soft, np.float16))
    return found


if __name__ == "__main__":
    main(consume)
