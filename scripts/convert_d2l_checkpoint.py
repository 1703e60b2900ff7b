"""Converts a d2l BERT checkpoint to a stock Hugging Face model folder, and proves that it computes the same function.

    python scripts/convert_d2l_checkpoint.py --source bert.small --output_dir models/bert-small

Takes the flags of `hf-nli convert` (--help lists them). In Python: `hf_nli.convert`.
"""

import sys

from hf_nli.cli import script

if __name__ == "__main__":
    sys.exit(script("convert"))
