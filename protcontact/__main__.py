"""``python -m protcontact`` is ``protcontact``."""

import sys

from protcontact.cli import main

if __name__ == "__main__":
    sys.exit(main())
