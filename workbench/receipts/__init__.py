"""TAP receipts, their EIP-712 hashes, signatures and header encodings.

``v2`` holds Horizon receipts, ``v1`` legacy ones; both offer Receipt, SignedReceipt, Rav, Signer, domain and
decode_header under the same names. Nothing here depends on HTTP or load.
"""
