"""Read a model, find its cuts, slice it, profile, estimate, plan. Pure decisions; the engine is passed in."""
