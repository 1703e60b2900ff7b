"""Publishes a model folder on the Hub, in one commit, and reads it back.

    python scripts/push_to_hub.py --model_name_or_path models/bert-small-snli --repo_id USER/NAME

Takes the flags of `hf-nli push` (--help lists them). In Python: `hf_nli.push`.
"""

import sys

from hf_nli.cli import script

if __name__ == "__main__":
    sys.exit(script("push"))
