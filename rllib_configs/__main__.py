"""``python -m rllib_configs`` is the command ``vla``."""

import sys

from rllib_configs.cli import main

sys.exit(main())
