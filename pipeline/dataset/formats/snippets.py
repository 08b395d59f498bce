"""Parts of the card's snippets that several formats share; words in braces are filled by the card."""

IMPORTS = """\
import numpy as np
import torch
"""

SAMPLE = """\
{decoder}def sample(entry):
    image = np.array({image})
    soft = {member_soft}        # (C, H, W), {soft_rule}
    return torch.from_numpy({channels_first}){scaled}, torch.from_numpy(soft).float()

"""

TORCH_LOOP = """\
for images, soft in loader:
    logits = model(images)                                       # (B, C, H, W)
    loss = torch.nn.functional.{loss}(logits, soft)  # takes probabilities
    loss.backward()
"""
