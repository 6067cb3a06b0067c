"""``python -m fastprop`` is the command ``fastprop``."""

import sys

from fastprop.cli.main import main

sys.exit(main())
