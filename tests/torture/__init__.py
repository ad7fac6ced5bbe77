"""The long runs of `make torture`: faults, kills, lies, the matrix of names and environments."""

import os
import tempfile

# What faultdx remembers of a user is none of these runs' business.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="faultdx-torture-cache-")
