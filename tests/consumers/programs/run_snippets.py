"""The snippets of a dataset's card to the letter, each in the folder of the dataset with a small ``model``."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from consuming import Report, main

LOSS = torch.nn.functional.cross_entropy


def snippets(card: str) -> dict[str, str]:
    """Return the Python under each heading."""
    return dict(re.findall(r"^### (\w+)\n\n```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL))


def run(snippet: str) -> Report:
    """Run a snippet and keep what enters its model, which may be one of its own, beside what enters its loss."""
    report, roots, images = Report(), [], []

    def watch(module: torch.nn.Module, inputs: Any) -> None:
        if isinstance(inputs[0], torch.Tensor) and inputs[0].ndim == 4:
            roots.append(module)
            if module is roots[0]:
                images.append((inputs[0] * 255).round().to(torch.uint8).movedim(1, -1))

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        for image, soft in zip(images[-1], targets, strict=True):
            report.add("", image=image, soft=soft)
        return LOSS(logits, targets)

    watching = torch.nn.modules.module.register_module_forward_pre_hook(watch)
    torch.nn.functional.cross_entropy = loss
    torch.manual_seed(0)
    try:
        names = {"model": torch.nn.Conv2d(3, 3, 1), "__name__": "__main__"}
        exec(compile(snippet, "card", "exec"), names)  # noqa: S102 - the text of the card is what is tested
    except ModuleNotFoundError as error:
        return Report(facts={"missing": str(error)})
    finally:
        watching.remove()
        torch.nn.functional.cross_entropy = LOSS
    gradients = [parameter.grad for parameter in roots[0].parameters() if parameter.grad is not None]
    report.facts["has gradients"] = any(bool(gradient.abs().sum() > 0) for gradient in gradients)
    return report


def consume(folder: Path) -> dict[str, Report]:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.chdir(folder)
    return {title: run(text) for title, text in snippets(Path("README.md").read_text()).items()}


if __name__ == "__main__":
    main(consume)
