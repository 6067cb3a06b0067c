"""``python -m fastprop`` is the command ``fastprop``."""

import sys

from fastprop.cli import main

sys.exit(main())
