"""Receipts: golden vectors byte for byte, eth-account as the oracle, bad fields by name."""

from __future__ import annotations

import base64
import contextlib
import pickle

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ReceiptError
from workbench.receipts import tap_aggregator_v2_pb2 as wire
from workbench.receipts import v1, v2
from workbench.receipts.address import (
    checksum,
    collection_of,
    deployment_to_qm,
    parse_address,
    parse_deployment,
)
from workbench.receipts.fields import U64_MAX, U128_MAX
from workbench.receipts.keys import SigningKey, parity_of, recover_address

ELEVENS = b"\x11" * 20
ABANDON_KEY = "0x1ab42cc412b618bdea3a599e3c9bae199ebf030895b039e9db1e30dafb12b727"  # of the well-known test mnemonic
ONES_KEY = b"\x01" * 32
ACCOUNT0_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ACCOUNT1_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
TAP_VERIFIER = parse_address("0xC9a43158891282A2B1475592D5719c001986Aaec")
COLLECTOR = parse_address("0xB0D4afd8879eD9F52b28595d31B441D079B2Ca07")
SUBGRAPH_SERVICE = parse_address("0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9")
RECEIVER = parse_address("0xf4EF6650E48d099a4972ea5B414daB86e1998Bd3")
ALLOCATION = parse_address("0xfa44c72b753a66591f241c7dc04e8178c30e13af")
TIMESTAMP, NONCE, VALUE = 1_700_000_000_000_000_000, 1_234_567_890_123_456_789, 100_000_000_000_000


def rsv(r: str, s: str, parity: int) -> bytes:
    return bytes.fromhex(r.zfill(64)) + bytes.fromhex(s.zfill(64)) + bytes((27 + parity,))


def test_type_hashes() -> None:
    assert v1.RECEIPT_TYPE_HASH.hex() == "b28dce0810a58de757ab2b13acfe2f476cce2e91286d183589d865e740917b1d"
    assert v1.RAV_TYPE_HASH.hex() == "cc574f0e66ae1a48e7c30aa02df84405b26802275c43c7a9b542a20335b70b33"
    assert v2.RECEIPT_TYPE_HASH.hex() == "b5c347306075e05835e2297c9b3fd4a9bbabc6d55fa2307758dba2c42ae58c38"
    assert v2.RAV_TYPE_HASH.hex() == "2f8962be843489018f0fe44aa06adfead655e3c10d7347a020040f9524f392d3"


@pytest.mark.parametrize(
    ("field", "r", "s", "parity"),
    [
        (
            50,
            "5257bab234e33525cd999db4defc805c2d3b4e51cde3697f43e37ce39473720f",
            "6c3af14c3d400dfd047fd2da90eb9e8cee863e77cc52742ebcbf080b8d6ec2",
            1,
        ),
        (
            52,
            "b3b8e2c1249fc14183024e28b14f7749ef852c898906c2442f380a26bf07a625",
            "6925e7dce01d539a658d552e43cfd92d9d204d6997604f8f613977251b964db3",
            1,
        ),
    ],
)
def test_v1_golden(field: int, r: str, s: str, parity: int) -> None:
    signer = v1.Signer(SigningKey(ABANDON_KEY), v1.domain(1, ELEVENS), allocation_id=b"\xab" * 20)
    signed = signer.sign(field, field, field)
    assert signed.signature == rsv(r, s, parity)
    # r and s are minimal hex quantities: an s of 31 bytes prints as 62 digits
    assert f'"r":"0x{r.lstrip("0")}","s":"0x{s.lstrip("0")}","yParity":"0x{parity}","v":"0x{parity}"' in (
        signed.header()
    )


def test_v1_rav_golden() -> None:
    digest = v1.domain(1, ELEVENS).digest(v1.Rav(b"\xab" * 20, 59, 545).struct_hash())
    assert SigningKey(ABANDON_KEY).sign(digest) == rsv(
        "11d760201bac73d4e772d0999a1f9b5f6b8d8979d94ee29b7cb2659d23f2a551",
        "1036a994ff414de83f24601ab7cc22e0ece134d2199e0b675d94bd8cf7015226",
        0,
    )


def test_v1_local_network_golden() -> None:
    domain = v1.domain(1337, TAP_VERIFIER)
    assert domain.separator.hex() == "efcc13dbcddfb67f6d123d8e3c5ff229f837e634904827897688c89d16454e14"
    receipt = v1.Receipt(ALLOCATION, TIMESTAMP, NONCE, VALUE)
    assert receipt.struct_hash().hex() == "f3da99ebb1aa4febade4ace417f584d276b3670b4512024b1c820283b0e2265f"
    assert (
        domain.digest(receipt.struct_hash()).hex() == "9876cfbb64e07db9364da74cdfd7487248d4b4d157c07b4dfe82f97506edd677"
    )
    signer = v1.Signer(SigningKey(ACCOUNT0_KEY), domain, allocation_id=ALLOCATION)
    signed = signer.sign(TIMESTAMP, NONCE, VALUE)
    assert signed.signature == rsv(
        "9f37005123086df6d31c48f8484396a0d8ea5da65f145deb8888f2ebfc0387ac",
        "7cb899fc99d3c2b9ed4a568eb109352ed9ab8f44be713fca98ba576e1cfe9047",
        1,
    )
    assert signed.header() == (
        '{"message":{"allocation_id":"0xfa44c72b753a66591f241c7dc04e8178c30e13af",'
        '"timestamp_ns":1700000000000000000,"nonce":1234567890123456789,"value":100000000000000},'
        '"signature":{"r":"0x9f37005123086df6d31c48f8484396a0d8ea5da65f145deb8888f2ebfc0387ac",'
        '"s":"0x7cb899fc99d3c2b9ed4a568eb109352ed9ab8f44be713fca98ba576e1cfe9047",'
        '"yParity":"0x1","v":"0x1"}}'
    )


@pytest.mark.parametrize(
    ("field", "r", "s", "parity"),
    [
        (
            50,
            "c23da011db5a5b9d35a324dee7e794946758b144407b4d8b6a357acfc3dcdaee",
            "7b11193ab8bd0f31d47f7447cb5edf15537ae763ba04a3d34ae61a78a9739868",
            0,
        ),
        (
            51,
            "40512211d2c63a96c40e3219b43c751a06bfa08f29b149c5d3167738623c3868",
            "3a065c929c835bb474d0f3b2281ecb7f036b0d23560788b67c66ad365fe3f0f2",
            1,
        ),
    ],
)
def test_v2_golden(field: int, r: str, s: str, parity: int) -> None:
    signer = v2.Signer(
        SigningKey(ONES_KEY),
        v2.domain(1, ELEVENS),
        collection_id=b"\xab" * 32,
        payer=b"\xab" * 20,
        data_service=b"\xde\xad" * 10,
        service_provider=b"\xbe\xef" * 10,
    )
    assert signer.sign(field, field, field).signature == rsv(r, s, parity)


def test_v2_rav_golden() -> None:
    rav = v2.Rav(b"\xab" * 32, b"\xab" * 20, b"\xbe\xef" * 10, b"\xde\xad" * 10, 59, 545)
    assert SigningKey(ONES_KEY).sign(v2.domain(1, ELEVENS).digest(rav.struct_hash())) == rsv(
        "ed2663ecb148daffaaf6ff148d2ca5f215f0be02192457da01a378c148bca060",
        "67d9342b97278aad634d4d8ccc7a8f874ce2581e34198732f201b38604a570d5",
        1,
    )


LOCAL_HEADER = (
    "CoIBCiAAAAAAAAAAAAAAAAD6RMcrdTpmWR8kHH3AToF4ww4TrxIU85/W5RqtiPb0zmq4gnJ5z/+5ImYaFM9+06zKWkZ+nnBMcD6Nh/Y0+w/J"
    "IhT072ZQ5I0Jmkly6ltBTauG4ZmL0yiAgKix45/nyxcwlYKm78eehJEROggQgIDpg7HeFhJBXGuZbY/WrxELzPaAo4pD90nkg84Dvr7JQOa7"
    "yx/8MMIzvRXXOGcbTSUsL9YvaD6geNfXVRlJ2Xfnfud9rwesrxw="
)


def local_signer() -> v2.Signer:
    return v2.Signer(
        SigningKey(ACCOUNT1_KEY),
        v2.domain(1337, COLLECTOR),
        collection_id=collection_of(ALLOCATION),
        payer=SigningKey(ACCOUNT0_KEY).address,
        data_service=SUBGRAPH_SERVICE,
        service_provider=RECEIVER,
    )


def test_v2_local_network_golden() -> None:
    signer = local_signer()
    assert signer.domain.separator.hex() == "fe735d5bdd9cad0a8030d0ec9fab0a95560867d4590821a53bcaffeae525a14f"
    signed = signer.sign(TIMESTAMP, NONCE, VALUE)
    struct_hash = signed.receipt.struct_hash()
    assert struct_hash.hex() == "c23024f08c0951872314d21e360d57de36cced2700beb8f38cb62a1d3456da68"
    assert signer.domain.digest(struct_hash).hex() == (
        "859f8e2760adfeb4cea2d721a811aa865ea7cfe1a782ef33085353008b424859"
    )
    assert signed.signature.hex() == (
        "5c6b996d8fd6af110bccf680a38a43f749e483ce03bebec940e6bbcb1ffc30c2"
        "33bd15d738671b4d252c2fd62f683ea078d7d7551949d977e77ee77daf07acaf1c"
    )
    assert signed.header() == LOCAL_HEADER
    assert signer.header(TIMESTAMP, NONCE, VALUE) == LOCAL_HEADER
    assert v2.decode_header(LOCAL_HEADER) == signed


# --- against eth-account over the full range of each field ------------------------------------------------------

u64 = st.integers(0, U64_MAX) | st.sampled_from([0, 1, 2**63, U64_MAX])
u128 = st.integers(0, U128_MAX) | st.sampled_from([0, 1, U64_MAX, U64_MAX + 1, U128_MAX])
address = st.binary(min_size=20, max_size=20)
secret = st.binary(min_size=32, max_size=32).filter(lambda b: 0 < int.from_bytes(b, "big") < 2**255)
chain = st.integers(0, 2**64 - 1)


def oracle(secret_bytes: bytes, domain: dict, type_string: str, message: dict) -> tuple[bytes, bytes]:
    """Signature and digest of eth-account for the same structure."""
    name, members = type_string.rstrip(")").split("(")
    fields = [dict(zip(("type", "name"), member.split(" "), strict=True)) for member in members.split(",")]
    signable = encode_typed_data(
        full_message={
            "domain": domain,
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                name: fields,
            },
            "primaryType": name,
            "message": message,
        }
    )
    signed = Account.sign_message(signable, secret_bytes)
    return bytes(signed.signature), bytes(signed.message_hash)


@settings(deadline=None, max_examples=60)
@given(secret, chain, address, st.binary(min_size=32, max_size=32), address, address, address, u64, u64, u128)
def test_v2_equals_eth_account(key, chain_id, contract, collection, payer, data, provider, ts, nonce, value):
    signer = v2.Signer(
        SigningKey(key),
        v2.domain(chain_id, contract),
        collection_id=collection,
        payer=payer,
        data_service=data,
        service_provider=provider,
    )
    signed = signer.sign(ts, nonce, value)
    signature, digest = oracle(
        key,
        {
            "name": "GraphTallyCollector",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": checksum(contract),
        },
        v2.RECEIPT_TYPE,
        {
            "collection_id": collection,
            "payer": checksum(payer),
            "data_service": checksum(data),
            "service_provider": checksum(provider),
            "timestamp_ns": ts,
            "nonce": nonce,
            "value": value,
        },
    )
    assert signer.domain.digest(signed.receipt.struct_hash()) == digest
    assert signed.signature == signature
    assert signer.header(ts, nonce, value) == signed.header()
    assert v2.decode_header(signed.header()) == signed
    assert signed.signer(signer.domain) == signer.key.address == bytes.fromhex(Account.from_key(key).address[2:])


@settings(deadline=None, max_examples=60)
@given(secret, chain, address, address, u64, u64, u128)
def test_v1_equals_eth_account(key, chain_id, contract, allocation, ts, nonce, value):
    signer = v1.Signer(SigningKey(key), v1.domain(chain_id, contract), allocation_id=allocation)
    signed = signer.sign(ts, nonce, value)
    signature, _ = oracle(
        key,
        {"name": "TAP", "version": "1", "chainId": chain_id, "verifyingContract": checksum(contract)},
        v1.RECEIPT_TYPE,
        {"allocation_id": checksum(allocation), "timestamp_ns": ts, "nonce": nonce, "value": value},
    )
    assert signed.signature == signature
    assert v1.decode_header(signed.header()) == signed
    assert signed.signer(signer.domain) == signer.key.address


# --- the fast path against the protobuf library and against the plain one ------------------------------------------


def edges(bits: int) -> list[int]:
    """The least and the greatest number of each width up to ``bits``, zero among them."""
    return sorted({0, *(n for width in range(bits) for n in (1 << width, (2 << width) - 1))})


@pytest.mark.parametrize("others", [0, U64_MAX])
@pytest.mark.parametrize(("field", "bits"), [("timestamp_ns", 64), ("nonce", 64), ("value", 128)])
def test_a_signers_headers_are_the_plain_ones_at_every_width(field, bits, others):
    v1_signer = v1.Signer(SigningKey(ONES_KEY), v1.domain(1, ELEVENS), allocation_id=ELEVENS)
    for number in edges(bits):
        numbers = dict.fromkeys(("timestamp_ns", "nonce", "value"), others) | {field: number}
        for signer in (local_signer(), v1_signer):
            assert signer.header(**numbers) == signer.sign(**numbers).header()


@settings(deadline=None, max_examples=300)
@given(u64, u64, u128)
def test_a_signers_headers_are_the_plain_ones(ts, nonce, value):
    v1_signer = v1.Signer(SigningKey(ONES_KEY), v1.domain(1, ELEVENS), allocation_id=ELEVENS)
    for signer in (local_signer(), v1_signer):
        assert signer.header(ts, nonce, value) == signer.sign(ts, nonce, value).header()


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp_ns", -1),
        ("timestamp_ns", 2**64),
        ("nonce", -1),
        ("nonce", 2**64),
        ("nonce", 1.5),
        ("value", -1),
        ("value", 2**128),
        ("value", "5"),
    ],
)
def test_number_out_of_range_is_refused_by_name(field, value):
    numbers = {"timestamp_ns": 1, "nonce": 2, "value": 3, field: value}
    v1_signer = v1.Signer(SigningKey(ONES_KEY), v1.domain(1, ELEVENS), allocation_id=ELEVENS)
    for sign in (local_signer().sign, local_signer().header, v1_signer.sign, v1_signer.header):
        with pytest.raises(ReceiptError, match=rf"^{field} must be an integer"):
            sign(**numbers)


@pytest.mark.parametrize("field", ["collection_id", "payer", "data_service", "service_provider"])
def test_wrong_length_is_refused_by_name(field):
    fields = {
        "collection_id": bytes(32),
        "payer": ELEVENS,
        "data_service": ELEVENS,
        "service_provider": ELEVENS,
        field: b"\x01",
    }
    with pytest.raises(ReceiptError, match=rf"^{field} must be \d+ bytes, found 1 bytes"):
        v2.Signer(SigningKey(ONES_KEY), v2.domain(1, ELEVENS), **fields)


def encode(message: wire.Receipt | None, signature: bytes = bytes(65)) -> str:
    signed = wire.SignedReceipt(signature=signature)
    if message is not None:
        signed.message.CopyFrom(message)
    return base64.b64encode(signed.SerializeToString()).decode()


def message(**changes) -> wire.Receipt:
    fields = {
        "collection_id": bytes(32),
        "payer": ELEVENS,
        "data_service": ELEVENS,
        "service_provider": ELEVENS,
        "value": wire.Uint128(low=1),
    } | changes
    return wire.Receipt(**fields)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "message is missing"),
        ("not base64!", "not base64"),
        (LOCAL_HEADER.rstrip("="), "not base64"),
        (LOCAL_HEADER.replace("+", "-"), "not base64"),
        (LOCAL_HEADER[:-2] + "x=", "stray bits"),
        (base64.b64encode(b"\x0a\xff").decode(), "not base64 of a protobuf"),
        (encode(None), "message is missing"),
        (encode(message(value=None)), "value is missing"),
        (encode(message(payer=b"\x01" * 19)), "payer must be 20 bytes"),
        (encode(message(collection_id=b"\x01" * 31)), "collection_id must be 32 bytes"),
        (encode(message(), bytes(64)), "signature must be 65 bytes"),
        (encode(message(), bytes(64) + b"\x1a"), "v must be 0, 1, 27, 28 or at least 35, found 26"),
        ('{"message":{}}', "not base64"),
    ],
)
def test_v2_header_that_is_none(header, reason):
    with pytest.raises(ReceiptError, match=reason):
        v2.decode_header(header)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: base64.b64encode(b).decode()))
def test_any_text_decodes_or_is_refused(text):
    for decode in (v1.decode_header, v2.decode_header):
        with contextlib.suppress(ReceiptError):
            decode(text)


V1_HEADER = v1.Signer(SigningKey(ONES_KEY), v1.domain(1, ELEVENS), allocation_id=ELEVENS).header(1, 2, 3)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"nonce":2,', "", "nonce is missing"),
        ('"nonce":2', '"nonce":"2"', "nonce must be an integer"),
        ('"value":3', '"value":3.0', "value must be an integer"),
        ('"allocation_id":"0x11', '"allocation_id":"0x1', "allocation_id must be 20 bytes"),
        ('"yParity":"0x', '"yParity":"0x2', "yParity must be"),
        ('"r":"0x', '"r":"', "r must be a hex quantity"),
        ("}}", "}", "not JSON"),
    ],
)
def test_v1_header_that_is_none(old, new, reason):
    with pytest.raises(ReceiptError, match=reason):
        v1.decode_header(V1_HEADER.replace(old, new))


def test_v1_reads_v_in_every_convention():
    parity = v1.decode_header(V1_HEADER).signature[64] - 27
    without = V1_HEADER.replace(f'"yParity":"0x{parity}",', "")
    for v in (parity, 27 + parity, 35 + parity, 2 * 1337 + 35 + parity):
        assert v1.decode_header(without.replace(f'"v":"0x{parity}"', f'"v":"{v:#x}"')) == v1.decode_header(V1_HEADER)
    with pytest.raises(ReceiptError, match="v must be"):
        parity_of(29)


def test_high_s_and_raw_parity_recover_to_the_same_signer():
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    key, digest = SigningKey(ONES_KEY), b"\x05" * 32
    signature = key.sign(digest)
    s = order - int.from_bytes(signature[32:64], "big")
    high = signature[:32] + s.to_bytes(32, "big") + bytes((27 + (signature[64] - 27 ^ 1),))
    raw = signature[:64] + bytes((signature[64] - 27,))
    assert recover_address(digest, signature) == recover_address(digest, high) == key.address
    assert recover_address(digest, raw) == key.address


@pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 64 + b"\x1b", b"\x01" * 64 + b"\x1d"])
def test_unrecoverable_signature(signature):
    with pytest.raises(ReceiptError, match="signature"):
        recover_address(b"\x05" * 32, signature)


@pytest.mark.parametrize("bad", ["", "0x12", "zz" * 32, b"\x00" * 32, b"\xff" * 32, ACCOUNT0_KEY + "00"])
def test_a_key_is_never_shown(bad):
    with pytest.raises(ReceiptError) as caught:
        SigningKey(bad)
    assert caught.value.__cause__ is None
    assert not bad or str(bad) not in str(caught.value)


def test_a_good_key_is_neither_printed_nor_pickled():
    key = SigningKey(ACCOUNT0_KEY)
    assert ACCOUNT0_KEY[2:] not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


# --- addresses and deployment ids ---------------------------------------------------------------------------------


def test_checksum_of_the_known_accounts():
    for text in (
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0xf4EF6650E48d099a4972ea5B414daB86e1998Bd3",
    ):
        assert checksum(parse_address(text.lower())) == text


@given(st.binary(min_size=32, max_size=32))
def test_deployment_id_has_two_forms(raw):
    qm = deployment_to_qm(raw)
    assert len(qm) == 46
    assert qm.startswith("Qm")
    assert parse_deployment(qm) == parse_deployment(raw.hex()) == parse_deployment("0x" + raw.hex()) == raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Qm",
        "QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyq",
        "Qm" + "0" * 44,
        "Qm" + "z" * 44,
        "0x12",
        "BFr2mx7FgkJ36Y6pE5BiXs1KmNUmVDCnL82KUSdcLW1g",
        "ab " * 21 + "a",
    ],
)
def test_bad_deployment_id(text):
    with pytest.raises(ReceiptError, match="deployment id"):
        parse_deployment(text)
