"""What a run of training keeps: its state, its folder and checkpoints, its log, and the reports that it ends with."""
