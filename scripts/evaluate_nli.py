"""Scores a model on a natural language inference data set.

    python scripts/evaluate_nli.py \
        --model_name_or_path models/bert-small-snli --dataset stanfordnlp/snli --split test --output_dir scores

Takes the flags of `hf-nli evaluate` (--help lists them). In Python: `hf_nli.evaluate`.
"""

import sys

from hf_nli.cli import script

if __name__ == "__main__":
    sys.exit(script("evaluate"))
