"""Many runs by one plan: ``plan`` (what is asked for, from TOML or Python), ``grid`` (which runs that is, in which
order), ``estimate`` (how long they take), ``folder`` (the batch's record and its runs)."""
