"""How fast this machine can send receipts without falling behind, found against a null server and kept for later steps.

``search`` (which rate to try next; pure), ``trial`` (one rate tried), ``run`` (all of it), ``calibration`` (the result;
pure), ``identity`` (its machine and versions), ``stored`` (its file), ``expect`` (its prediction for a step; pure).
"""
