"""The learned witness: one small network for every bearing, trained on paper, beside the physics witness."""
