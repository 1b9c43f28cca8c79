"""The evaluation service: metrics over rows, of recorded outputs or of a model's answers."""
