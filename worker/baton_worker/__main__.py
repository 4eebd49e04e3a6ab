"""python3 -m baton_worker"""

import sys

from .cli import main

sys.exit(main())
