"""Values computed for each question alone: word counts, repetition, fingerprints, split keys."""
