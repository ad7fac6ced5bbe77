"""What the verdict of both witnesses goes by: the digest of the shipped network, and limits (docs/universal.md)."""

from __future__ import annotations

SHA256 = "b50b5896bf9c100752b7d27adb43823f39a4817a950d3d04c4a4167532e4f682"  # of model/universal.onnx
LOCATED = 0.9  # probability of a place from which the network names it ...
SCORE = 0.9  # ... where a comb confirms the speed, and the physics has it first, with this score or more ...
SECOND = 0.3  # ... and no other place reaches this share of it: a damaged ball dents both races
DAMAGED = 0.8  # probability of any fault from which the network alone calls a bearing damaged
SOUND = 0.9  # probability of none from which the network takes "damaged" away
OPPOSED = 0.8  # probability of another place from which it takes a place away
