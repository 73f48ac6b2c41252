"""Search quality: judged queries, baselines, figures with their intervals, and the gate that guards the publish."""
