"""`python -m hf_nli` is `hf-nli`."""

import sys

from hf_nli.cli.run import main

sys.exit(main())
