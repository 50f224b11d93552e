"""``python -m train``: what ``torchrun -m train`` starts."""

import sys

from train.cli import main

sys.exit(main())
