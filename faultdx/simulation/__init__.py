"""Machines on paper: bearings and gearboxes whose faults are known, as Records. See `rig.simulate`."""
