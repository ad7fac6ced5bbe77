"""The networks: `architecture.py` holds their numbers (no torch), `drsn.py` builds them (torch, no I/O)."""
