"""What the variables of the CWRU Bearing Data Center's files are called: X105_DE_time, X105RPM."""

from __future__ import annotations

import re

VARIABLE_NAME = re.compile(r"^X(?P<number>\d{3,})(?:_(?P<channel>DE|FE|BA)_time|(?P<rpm>RPM))$")
SIGNAL_NAME = re.compile(r"^X(?P<number>\d{3,})_(?P<channel>DE|FE|BA)_time$")
