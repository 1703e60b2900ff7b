"""Fine-tunes a model for natural language inference with Accelerate, on a CPU, one GPU or many.

    accelerate launch scripts/finetune_accelerate.py \
        --model_name_or_path models/bert-small --dataset stanfordnlp/snli --output_dir models/bert-small-snli

Takes the flags of `hf-nli train` (--help lists them). In Python: `hf_nli.train`.
"""

import sys

from hf_nli.cli import script

if __name__ == "__main__":
    sys.exit(script("train"))
