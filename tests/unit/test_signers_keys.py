"""Keys open with the right secret, say what is wrong otherwise, and never show anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import traceback

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.money import Address
from keeper.errors import KeyUnavailable
from keeper.signers import keystore as keystore_module
from keeper.signers.env_key import EnvKeySigner, parse_key
from keeper.signers.importer import import_key
from keeper.signers.keystore import KeystoreSigner, open_keystore
from keeper.signers.local import LocalKey
from keeper.signers.mnemonic import check_phrase, derive_key, path_of
from keeper.signers.secrets import read_secret_env, read_secret_file
from keeper.signers.signing import check_backend

SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
OWNER = Address("0x2c7536e3605d9c16a7a3d7b1898e529396a65c23")
PASSWORD = "correct horse battery"
PHRASE = "test test test test test test test test test test test junk"
CANARIES = (SECRET, PASSWORD, "correct horse", str(int(SECRET, 16)), repr(bytes.fromhex(SECRET)))


def everything_said(error: BaseException) -> str:
    """All that a log could print of an error: words, arguments, and the whole chain below it."""
    said, seen = [], [error]
    while seen:
        one = seen.pop()
        said += [str(one), repr(one), repr(one.args), repr(vars(one))]
        said += traceback.format_exception(one)
        seen += [below for below in (one.__cause__, one.__context__) if below is not None]
    return "".join(said)


@pytest.fixture(scope="module")
def keyfile(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "key.json"
    import_key(out=path, password=PASSWORD, private_key=SECRET, work_factor=2)
    return path


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


# ------------------------------------------------------------------ keystore


def test_a_keystore_opens_on_first_use_only(keyfile, password_file, monkeypatch):
    opened = []
    monkeypatch.setattr(keystore_module, "open_keystore", lambda *a: opened.append(a) or open_keystore(*a))
    signer = KeystoreSigner(keyfile, password_file=password_file)
    assert signer.address == OWNER
    assert opened == []

    threads = [threading.Thread(target=signer.unlock) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(opened) == 1


def test_a_keystore_without_an_address_is_opened_to_learn_it(keyfile, password_file, tmp_path):
    content = json.loads(keyfile.read_text())
    del content["address"]
    (tmp_path / "private.json").write_text(json.dumps(content))

    assert KeystoreSigner(tmp_path / "private.json", password_file=password_file).address == OWNER


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_keystores_of_other_tools_open(kdf, tmp_path):
    content = Account.encrypt(SECRET, PASSWORD, kdf=kdf, iterations=2)
    content["Crypto"] = content.pop("crypto")
    content["address"] = "0x" + content["address"].upper().removeprefix("0X")
    (tmp_path / "k").write_text(json.dumps(content))

    assert open_keystore(tmp_path / "k", PASSWORD).address == OWNER


def wrong_password(keyfile, tmp_path):
    open_keystore(keyfile, PASSWORD + "!")


def another_address(keyfile, tmp_path):
    KeystoreSigner(keyfile, password_env="PW", expect=Address("0x" + "11" * 20))


def lying_address(keyfile, tmp_path):
    content = json.loads(keyfile.read_text()) | {"address": "11" * 20}
    (tmp_path / "k").write_text(json.dumps(content))
    open_keystore(tmp_path / "k", PASSWORD)


def missing_file(keyfile, tmp_path):
    open_keystore(tmp_path / "nothing", PASSWORD)


def folder_for_a_file(keyfile, tmp_path):
    open_keystore(tmp_path, PASSWORD)


def raw_key_for_a_file(keyfile, tmp_path):
    (tmp_path / "k").write_text("0x" + SECRET)
    open_keystore(tmp_path / "k", PASSWORD)


def digits_for_a_file(keyfile, tmp_path):
    (tmp_path / "k").write_text(str(int(SECRET, 16)))
    open_keystore(tmp_path / "k", PASSWORD)


def binary_file(keyfile, tmp_path):
    (tmp_path / "k").write_bytes(b"\xff\xfe" + bytes.fromhex(SECRET))
    open_keystore(tmp_path / "k", PASSWORD)


def version_1(keyfile, tmp_path):
    (tmp_path / "k").write_text(json.dumps(json.loads(keyfile.read_text()) | {"version": 1}))
    open_keystore(tmp_path / "k", PASSWORD)


def crypto_cut(keyfile, tmp_path):
    content = json.loads(keyfile.read_text())
    del content["crypto"]["mac"]
    (tmp_path / "k").write_text(json.dumps(content))
    open_keystore(tmp_path / "k", PASSWORD)


def crypto_mangled(keyfile, tmp_path):
    content = json.loads(keyfile.read_text())
    content["crypto"]["kdf"] = ["?"]
    (tmp_path / "k").write_text(json.dumps(content))
    open_keystore(tmp_path / "k", PASSWORD)


def cipher_mangled(keyfile, tmp_path):
    content = json.loads(keyfile.read_text())
    content["crypto"]["ciphertext"] = "zz"
    (tmp_path / "k").write_text(json.dumps(content))
    open_keystore(tmp_path / "k", PASSWORD)


def unreadable_password(keyfile, tmp_path):
    (tmp_path / "pw").write_bytes(PASSWORD.encode() + b"\xff")
    (tmp_path / "pw").chmod(0o600)
    KeystoreSigner(keyfile, password_file=tmp_path / "pw").unlock()


def not_a_key(keyfile, tmp_path):
    LocalKey(b"\xff" * 32)


def short_key(keyfile, tmp_path):
    LocalKey(bytes.fromhex(SECRET)[:31])


def key_with_a_typo(keyfile, tmp_path):
    parse_key(SECRET[:-1] + "g", "the input")


FAILURES = [
    (wrong_password, "does not open"),
    (another_address, OWNER),
    (lying_address, OWNER),
    (missing_file, "keys import"),
    (folder_for_a_file, "cannot read"),
    (raw_key_for_a_file, "not a keystore v3"),
    (digits_for_a_file, "not a keystore v3"),
    (binary_file, "not a keystore v3"),
    (version_1, "not a keystore v3"),
    (crypto_cut, "not a keystore v3"),
    (crypto_mangled, "not a keystore v3"),
    (cipher_mangled, "keystore"),
    (unreadable_password, "UTF-8"),
    (not_a_key, "32 bytes"),
    (short_key, "32 bytes"),
    (key_with_a_typo, "64 hex"),
]


@pytest.mark.parametrize(("fail", "says"), FAILURES, ids=lambda x: getattr(x, "__name__", None))
def test_a_failure_says_what_to_do_and_shows_nothing(fail, says, keyfile, tmp_path):
    with pytest.raises(KeyUnavailable, match=says) as caught:
        fail(keyfile, tmp_path)

    said = everything_said(caught.value).lower()
    assert [canary for canary in CANARIES if canary.lower() in said] == []


@pytest.mark.parametrize("both", [{}, {"password_file": "x", "password_env": "y"}])
def test_the_password_has_exactly_one_source(keyfile, both):
    with pytest.raises(KeyUnavailable, match="exactly one"):
        KeystoreSigner(keyfile, **both)


# ------------------------------------------------------------------ secrets


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_secret_that_others_can_read_is_refused(password_file, mode):
    password_file.chmod(mode)

    with pytest.raises(KeyUnavailable, match="chmod 600"):
        read_secret_file(password_file)


@pytest.mark.parametrize("mode", [0o400, 0o600])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_file_loses_its_line_break_and_nothing_else(tmp_path, mode, ending):
    path = tmp_path / "pw"
    path.write_bytes(f" two words {ending}".encode())
    path.chmod(mode)

    assert read_secret_file(path) == " two words "


def test_a_mounted_container_secret_may_be_readable(tmp_path, monkeypatch):
    (tmp_path / "pw").write_text("x")
    (tmp_path / "pw").chmod(0o444)
    monkeypatch.setattr("keeper.signers.secrets._MOUNTED", tmp_path)

    assert read_secret_file(tmp_path / "pw") == "x"


def test_empty_and_missing_secrets_are_named(tmp_path, monkeypatch):
    (tmp_path / "pw").touch(0o600)
    monkeypatch.delenv("NO_SUCH", raising=False)

    for read, what in (
        (read_secret_file, tmp_path / "pw"),
        (read_secret_file, tmp_path / "no"),
        (read_secret_env, "NO_SUCH"),
    ):
        with pytest.raises(KeyUnavailable, match=str(what)):
            read(what)


def test_a_raw_key_in_the_environment_needs_permission(monkeypatch):
    monkeypatch.setenv("HOT", SECRET)

    with pytest.raises(KeyUnavailable, match="allow-env-key"):
        EnvKeySigner("HOT")
    with pytest.raises(KeyUnavailable, match=OWNER):
        EnvKeySigner("HOT", allow=True, expect=Address("0x" + "11" * 20))
    assert EnvKeySigner("HOT", allow=True, expect=OWNER).address == OWNER


# ------------------------------------------------------------------ recovery phrases

#: From the BIP-39 test vectors (https://github.com/trezor/python-mnemonic/blob/master/vectors.json).
ZERO = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"


@pytest.mark.parametrize("words", [12, 15, 18, 21, 24])
@pytest.mark.parametrize(
    ("wallet", "index", "path"),
    [
        ("metamask", 0, "m/44'/60'/0'/0/0"),
        ("metamask", 3, "m/44'/60'/0'/0/3"),
        ("trust", 1, "m/44'/60'/0'/0/1"),
        ("ledger-live", 2, "m/44'/60'/2'/0/0"),
        ("m/44'/60'/7'/1/9", 0, "m/44'/60'/7'/1/9"),
    ],
)
def test_keys_equal_those_of_eth_account(words, wallet, index, path, monkeypatch):
    monkeypatch.setattr(Account, "_use_unaudited_hdwallet_features", True)
    _, phrase = Account.create_with_mnemonic(num_words=words)

    assert path_of(wallet, index) == path
    assert derive_key(phrase, path) == bytes(Account.from_mnemonic(phrase, account_path=path).key)


def test_the_well_known_phrases_give_the_well_known_accounts():
    assert LocalKey(derive_key(PHRASE, path_of("metamask"))).address == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert LocalKey(derive_key(ZERO, path_of("metamask"))).address == "0x9858effd232b4033e47d90003d41ec34ecaeda94"


def test_a_passphrase_gives_another_key_like_eth_account(monkeypatch):
    monkeypatch.setattr(Account, "_use_unaudited_hdwallet_features", True)

    ours = derive_key(ZERO, path_of("metamask"), "TREZOR é")

    assert ours == bytes(Account.from_mnemonic(ZERO, passphrase="TREZOR é").key)
    assert ours != derive_key(ZERO, path_of("metamask"))


def test_case_and_spaces_of_a_pasted_phrase_do_not_matter():
    assert check_phrase("  " + ZERO.upper().replace(" ", "\n ")) == ZERO


@pytest.mark.parametrize(
    ("phrase", "says"),
    [
        (PHRASE.replace("junk", "jank"), "word 12 "),
        ("xest " + PHRASE[5:].replace("junk", "jank"), "word 1, 12 "),
        (PHRASE.replace("junk", "zoo"), "do not belong together"),
        (PHRASE + " test", "has 13"),
        ("", "has 0"),
    ],
)
def test_a_wrong_phrase_is_refused_without_repeating_it(phrase, says):
    with pytest.raises(KeyUnavailable, match=says) as caught:
        check_phrase(phrase)

    said = everything_said(caught.value)
    assert "jank" not in said
    assert "xest" not in said
    assert "test test" not in said


@settings(max_examples=60)
@given(st.lists(st.sampled_from(ZERO.split() + PHRASE.split()), min_size=12, max_size=12))
def test_checksums_agree_with_eth_account(words):
    from eth_account.hdaccount.mnemonic import Mnemonic

    try:
        ours = bool(check_phrase(" ".join(words)))
    except KeyUnavailable:
        ours = False
    assert ours == Mnemonic().is_mnemonic_valid(" ".join(words))


@pytest.mark.parametrize("path", ["", "m", "m/", "44'/60'", "m/44'/x", "m/-1", "m/4294967296", "ledger", "m/44''"])
def test_a_broken_path_is_refused(path):
    with pytest.raises(KeyUnavailable):
        path_of(path)


# ------------------------------------------------------------------ import


@pytest.mark.parametrize(
    ("source", "account"),
    [
        ({"private_key": SECRET}, OWNER),
        ({"private_key": f" 0x{SECRET.upper()}\n"}, OWNER),
        ({"mnemonic": PHRASE}, "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"),
        ({"mnemonic": PHRASE, "path": "trust", "index": 1}, "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"),
    ],
)
def test_an_imported_key_opens_by_its_new_password_only(source, account, tmp_path):
    out = tmp_path / "new" / "key.json"

    assert import_key(out=out, password=PASSWORD, work_factor=2, **source) == account

    assert open_keystore(out, PASSWORD).address == account
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in out.parent.iterdir()] == ["key.json"]
    assert Account.from_key(Account.decrypt(out.read_text(), PASSWORD)).address.lower() == account
    with pytest.raises(KeyUnavailable):
        open_keystore(out, "other")


def test_a_keystore_is_imported_under_a_new_password(keyfile, tmp_path):
    out = tmp_path / "k"

    import_key(out=out, password="new", keystore=keyfile, keystore_password=PASSWORD, work_factor=2)

    assert open_keystore(out, "new").address == OWNER
    with pytest.raises(KeyUnavailable):
        import_key(out=tmp_path / "k2", password="new", keystore=keyfile, work_factor=2)
    assert not (tmp_path / "k2").exists()


def test_nothing_is_ever_overwritten(tmp_path):
    out, link = tmp_path / "k", tmp_path / "link"
    out.write_text("precious")
    link.symlink_to(tmp_path / "nowhere")

    for path in (out, link):
        with pytest.raises(KeyUnavailable, match="never overwritten"):
            import_key(out=path, password=PASSWORD, private_key=SECRET, work_factor=2)

    assert out.read_text() == "precious"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["k", "link"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    out = tmp_path / "k"
    monkeypatch.setattr("keeper.signers.importer._encrypted", lambda *_: out.write_text("precious") and _encrypted())

    def _encrypted():
        return json.dumps(Account.encrypt(SECRET, PASSWORD, iterations=2))

    with pytest.raises(KeyUnavailable, match="never overwritten"):
        import_key(out=out, password=PASSWORD, private_key=SECRET)
    assert out.read_text() == "precious"
    assert [each.name for each in tmp_path.iterdir()] == ["k"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"private_key": SECRET, "mnemonic": PHRASE},
        {"private_key": SECRET, "password": ""},
        {"private_key": "00" * 32},
        {"mnemonic": PHRASE, "index": -1},
        {"mnemonic": PHRASE, "path": "nowallet"},
    ],
)
def test_a_wrong_import_writes_nothing(wrong, tmp_path):
    with pytest.raises(KeyUnavailable):
        import_key(**({"out": tmp_path / "k", "password": PASSWORD, "work_factor": 2} | wrong))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(KeyUnavailable, match="cannot write"):
        import_key(out=tmp_path / "k", password=PASSWORD, private_key=SECRET, work_factor=2)


# ------------------------------------------------------------------ backend and imports


def test_the_fast_backend_is_in_use():
    check_backend()


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | env, timeout=60, check=False
    )


def test_the_slow_backend_is_refused_at_start():
    code = "from keeper.signers.signing import check_backend; check_backend()"

    ran = run(code, ECC_BACKEND_CLASS="eth_keys.backends.NativeECCBackend")

    assert ran.returncode == 1
    assert "install coincurve" in ran.stderr


def test_signing_itself_does_not_import_eth_account():
    code = (
        "import sys; from keeper.signers import env_key, importer, keystore, local, mnemonic, policy;"
        f"local.LocalKey(bytes.fromhex('{SECRET}')); print('eth_account' in sys.modules)"
    )

    assert run(code).stdout == "False\n"


def test_opening_a_key_leaves_nested_answers_an_error_that_is_caught():
    """eth_account's py_ecc raises the recursion limit so far that nested JSON would end the process."""
    code = (
        "import sys, json; before = sys.getrecursionlimit()\n"
        "from keeper.signers.signing import check_backend\n"
        "check_backend(); assert sys.getrecursionlimit() == before\n"
        "try: json.loads('[' * 99_000)\n"
        "except RecursionError: print('caught')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr
