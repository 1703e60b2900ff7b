"""What `test_training.py` runs in two processes: `dropout_program.py MODEL PAIRS OUTPUT_DIR`."""

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from hf_nli.core.processes import leave_others
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train


def main() -> None:
    """Trains, and writes what each call of dropout dropped."""
    model, pairs, folder = sys.argv[1:]
    masks: list[Tensor] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Dropout) and module.training:
            masks.append(output.detach().flatten()[:64] == 0)  # every batch has so many values

    register_module_forward_hook(note)
    recipe = Recipe(dropout=0.5, max_train_steps=3, per_device_train_batch_size=8, mixed_precision="no")
    train(model, pairs, Path(folder) / "run", recipe, pairs)
    torch.save(masks, Path(folder) / f"masks_{PartialState().process_index}.pt")


if __name__ == "__main__":
    main()
    leave_others()
