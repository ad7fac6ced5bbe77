"""The networks: `architecture.py` holds their numbers (no torch), the other modules build them (torch, no I/O)."""
