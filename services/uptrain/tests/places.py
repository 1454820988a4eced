"""Where the trainer and its recipes lie."""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
RECIPES = HOME / "recipes"
sys.path.insert(0, str(HOME))
