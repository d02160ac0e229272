"""Nothing is downloaded: models are made from a config, or come with a package."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
