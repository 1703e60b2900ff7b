"""Fine-tuning, with Accelerate or with Trainer."""
