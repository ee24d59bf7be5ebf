"""How large numbers and trees may be."""

INT64_MAX = 2**63 - 1
# Turning a tree writes out its stacks. Real ones have some hundred thousand frames in all; beyond this, they are cut.
MAX_STACK_FRAMES = 8_000_000
