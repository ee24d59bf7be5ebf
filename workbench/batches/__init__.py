"""Many runs from one plan: ``plan`` (read from TOML or Python), ``grid`` (its runs and their order), ``estimate`` (how
long they take), ``folder`` (the batch's record and its runs)."""
