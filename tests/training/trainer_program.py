"""What `test_trainer.py` runs in two processes: `trainer_program.py MODEL PAIRS OUTPUT_DIR`."""

import json
import sys
from pathlib import Path

import torch
from transformers import TrainerCallback

from hf_nli.core.processes import leave_others
from hf_nli.data.load import load_nli
from hf_nli.settings.recipe import Recipe
from hf_nli.training.trainer import NLITrainer, NLITrainingArguments, make_trainer

STEPS = {"learning_rate": 5e-3, "num_train_epochs": 2, "mixed_precision": "no", "warmup_ratio": 0.0}


def build(output_dir: Path, rows: int, recipe: dict[str, object], **others: object) -> NLITrainer:
    """A Trainer on the first so many rows, which saves nothing but what it is told to."""
    pairs = load_nli(sys.argv[2])["train"].select(range(rows))
    settings = {"use_cpu": True, "disable_tqdm": True, "logging_steps": 1, "load_best_model_at_end": False}
    settings |= {"save_strategy": "no", **others}
    arguments = NLITrainingArguments.from_recipe(Recipe(**STEPS | recipe), output_dir, **settings)
    return make_trainer(sys.argv[1], pairs, pairs, arguments)


class Dropped(TrainerCallback):
    """Notes what the embeddings' dropout does to the first row of each batch."""

    def __init__(self) -> None:
        self.masks: list[torch.Tensor] = []

    def on_train_begin(self, *_: object, model: torch.nn.Module, **others: object) -> None:
        """Hooks into the model."""
        model.get_submodule("bert.embeddings.dropout").register_forward_hook(self.note)

    def note(self, module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        """The first 64 values, which every batch has."""
        if module.training:
            self.masks.append(output.detach().flatten()[:64] == 0)


def main() -> None:
    """Writes the model and the losses of a run without dropout, and weights and masks of runs with it."""
    output_dir = Path(sys.argv[3])
    recipe = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_train_epochs": 1}
    trainer = build(output_dir / "plain", 35, recipe)
    trainer.train()
    trainer.save_model()
    rank = trainer.args.process_index
    if rank == 0:
        (output_dir / "log_history.json").write_text(json.dumps(trainer.state.log_history))
    recipe, saving = {"per_device_train_batch_size": 4, "dropout": 0.5}, {"save_strategy": "steps", "save_steps": 3}
    whole = build(output_dir / "whole", 35, recipe, **saving, save_total_limit=9)
    whole.add_callback(dropped := Dropped())
    whole.train()
    torch.save(dropped.masks, output_dir / f"masks_{rank}.pt")
    resumed = build(output_dir / "resumed", 35, recipe)
    resumed.train(resume_from_checkpoint=str(output_dir / "whole/checkpoint-3"))
    torch.save([whole.model.state_dict(), resumed.model.state_dict()], output_dir / f"weights_{rank}.pt")


if __name__ == "__main__":
    main()
    leave_others()
