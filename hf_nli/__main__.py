"""`python -m hf_nli` is `hf-nli`."""

import sys

from hf_nli.cli import main

sys.exit(main())
