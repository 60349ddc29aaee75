"""TLS, passwords and headers as a web configuration file of Prometheus' exporters asks for them, with real parts."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import statistics
import subprocess
import time

import bcrypt
import httpx
import pytest

from exporters.basic_auth import BasicAuth, parse
from exporters.connection import Limits
from exporters.web_config import WebConfig

HASH = bcrypt.hashpw(b"high tide", b"$2b$04$abcdefghijklmnopqrstuu").decode()  # the same in every process
TOOLKITS_HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"  # of "fakepassword"


@pytest.fixture
def write(tmp_path):
    def file(text):
        path = tmp_path / "web.yml"
        path.write_text(text)
        return path

    return file


@pytest.fixture
def tls(certificates, tmp_path):
    """A function that writes a configuration with TLS and loads it; its files are copies that a test may change."""
    for path in certificates.folder.glob("*.pem"):
        shutil.copy(path, tmp_path / path.name)

    def load(more=""):
        path = tmp_path / "web.yml"
        path.write_text(f"tls_server_config:\n  cert_file: server.pem\n  key_file: server_key.pem\n{more}")
        return WebConfig.load(path)

    return load


def trusting(certificates, client=None):
    """What a client needs to believe our server, and to show who it is itself."""
    context = ssl.create_default_context(cafile=certificates.ca)
    if client is not None:
        context.load_cert_chain(certificates.folder / f"{client}.pem", certificates.folder / f"{client}_key.pem")
    return context


class TestFile:
    def test_an_empty_file_asks_for_nothing(self, write):
        assert WebConfig.load(write("")) == WebConfig()

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("basic_auth: {}", "basic_auth is unknown; expected tls_server_config"),
            ("tls_server_config: {cert: x}", "tls_server_config.cert is not supported; write it to a file"),
            ("tls_server_config: {certfile: x}", "tls_server_config.certfile is unknown; expected cert_file, key_file"),
            ("tls_server_config: {cert_file: a.pem}", "tls_server_config.key_file is missing"),
            ("tls_server_config: {}", "tls_server_config.cert_file is missing"),
            ("tls_server_config: {client_allowed_sans: [a]}", "client_allowed_sans is not supported"),
            ("tls_server_config: {cipher_suites: [a]}", "cipher_suites is not supported"),
            (
                "tls_server_config: {cert_file: no.pem, key_file: no.pem}",
                "tls_server_config.cert_file .*no.pem cannot be",
            ),
            ("tls_server_config: [1]", "tls_server_config is list; expected keys"),
            ("rate_limit: {burst: 1}", "rate_limit is not supported"),
            ("http_server_config: {http2: true}", "HTTP/2 is not supported; write false"),
            ("http_server_config: {http2: 1}", "http2 is 1; expected true or false"),
            (
                "http_server_config: {headers: {Server: x}}",
                "headers.Server is unknown; expected Content-Security-Policy",
            ),
            ("http_server_config: {headers: {X-Frame-Options: no}}", "X-Frame-Options is False; expected a line"),
            ("http_server_config: {headers: {X-Frame-Options: never}}", "is 'never'; expected deny or sameorigin"),
            ('http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}', "expected a line of ASCII"),
            ("basic_auth_users: {ana: secret}", r"basic_auth_users.ana is no bcrypt hash; expected \$2y"),
            (f'basic_auth_users: {{"a:b": "{HASH}"}}', "has no colon"),
            (f"basic_auth_users:\n  ana: {HASH}\n  ana: {HASH}", "ana stands there twice, again in line 3"),
            ("a: [", "is not YAML: line 1 cannot"),
            ("just text", "the file is str; expected keys"),
        ],
    )
    def test_what_cannot_be_done_is_refused_by_key_with_what_to_do(self, write, text, words):
        with pytest.raises(ValueError, match=rf"the web configuration .*web\.yml .*{words}"):
            WebConfig.load(write(text))

    def test_a_missing_file_is_a_sentence(self, tmp_path):
        with pytest.raises(ValueError, match=r"no\.yml cannot be read: No such file"):
            WebConfig.load(tmp_path / "no.yml")

    @pytest.mark.parametrize(
        ("text", "secret"),
        [("basic_auth_users: {ana: hunter2}", "hunter2"), ("a: 'hunter2\nb: [", "hunter2"), ("a: *hunter2", "hunter2")],
    )
    def test_an_error_never_shows_a_password(self, write, text, secret):
        with pytest.raises(ValueError) as caught:
            WebConfig.load(write(text))
        assert secret not in str(caught.value)

    def test_the_text_of_a_configuration_has_no_hash(self, write):
        assert HASH not in repr(WebConfig.load(write(f"basic_auth_users: {{ana: {HASH}}}")))

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ("  min_version: TLS11\n", "min_version is 'TLS11'; expected TLS12 or TLS13"),
            ("  min_version: TLS13\n  max_version: TLS12\n", "min_version is TLS13 and max_version TLS12"),
            ("  client_ca_file: ca.pem\n", "client_ca_file and client_auth_type go together"),
            ("  client_auth_type: RequireAndVerifyClientCert\n", "client_ca_file and client_auth_type go together"),
            ("  client_auth_type: RequireAnyClientCert\n", "unverified and is not supported"),
            ("  client_auth_type: Perhaps\n", "client_auth_type is 'Perhaps'; expected NoClientCert"),
            (
                "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca_key.pem\n",
                "tls_server_config.client_ca_file .* has no certificate",
            ),
        ],
    )
    def test_tls_that_makes_no_sense_is_refused(self, tls, more, words):
        with pytest.raises(ValueError, match=words):
            tls(more)

    def test_a_key_of_another_certificate_is_refused(self, tls, tmp_path):
        shutil.copy(tmp_path / "client_key.pem", tmp_path / "server_key.pem")
        with pytest.raises(ValueError, match=r"tls_server_config.cert_file .* and key_file .* cannot be used"):
            tls()

    def test_an_encrypted_key_is_refused_and_no_password_is_asked_for(self, tls, tmp_path):
        key = tmp_path / "server_key.pem"
        subprocess.run(
            ["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:tide", "-out", tmp_path / "locked.pem"],
            check=True,
            capture_output=True,
        )
        (tmp_path / "locked.pem").replace(key)
        with pytest.raises(ValueError, match="key_file is encrypted; expected a key without a password"):
            tls()


class TestHeaders:
    def test_they_are_on_every_answer_and_replace_our_own(self, serve, write):
        config = WebConfig.load(
            write("http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src 'self'}}")
        )
        served = serve(web_config=config)
        for path in ("/", "/metrics", "/nothing"):
            headers = httpx.get(served.url + path).headers
            assert headers["x-frame-options"] == "deny"
            assert headers["content-security-policy"] == "default-src 'self'"


class TestBasicAuth:
    @pytest.fixture
    def guarded(self, serve, write):
        return serve(web_config=WebConfig.load(write(f"basic_auth_users: {{ana: {HASH}}}")))

    @pytest.mark.parametrize("path", ["/", "/metrics", "/status", "/-/healthy", "/nothing"])
    def test_nothing_is_said_to_who_has_no_password(self, guarded, path):
        answer = httpx.get(guarded.url + path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert guarded.page.renders == 0

    @pytest.mark.parametrize("login", [("ana", "low tide"), ("bob", "high tide"), ("ana", ""), ("", ""), ("ana", HASH)])
    def test_wrong_ones_are_refused(self, guarded, login):
        assert httpx.get(f"{guarded.url}/metrics", auth=login).status_code == 401

    @pytest.mark.parametrize(
        "value", ["Basic", "Basic !!!", "Bearer abc", "Basic /////w==", "Basic YW5h", "Basic YTpi" * 99]
    )
    def test_headers_that_are_no_credentials_are_refused(self, guarded, value):
        assert httpx.get(f"{guarded.url}/metrics", headers={"Authorization": value}).status_code == 401

    def test_the_right_one_is_let_in_again_and_again(self, guarded):
        for _ in range(3):
            assert httpx.get(f"{guarded.url}/metrics", auth=("ana", "high tide")).text == "up 1\n"

    def test_a_hash_from_another_tool_is_understood(self):
        auth = BasicAuth({"ana": TOOLKITS_HASH})
        assert auth.check(basic("ana", "fakepassword"))

    def test_a_password_is_hashed_once_and_a_changed_one_is_not_taken_from_memory(self):
        auth = BasicAuth({"ana": HASH})
        assert not auth.remembers(basic("ana", "high tide"))
        assert auth.check(basic("ana", "high tide"))
        assert auth.remembers(basic("ana", "high tide"))
        assert not auth.remembers(basic("ana", "high tides"))
        assert not auth.check(basic("ana", "high tides"))
        assert auth.remembers(basic("ana", "high tide"))

    def test_a_password_that_bcrypt_would_cut_off_is_not_let_in_by_its_beginning(self):
        hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
        auth = BasicAuth({"ana": hashed})
        assert auth.check(basic("ana", "x" * 72))
        assert not auth.check(basic("ana", "x" * 73))
        assert not auth.check(basic("ana", "x\0x"))

    def test_a_name_that_is_not_known_takes_as_long_as_one_that_is(self):
        auth = BasicAuth({"ana": bcrypt.hashpw(b"high tide", bcrypt.gensalt(8)).decode(), "bob": HASH})

        def seconds(user):
            taken = []
            for _ in range(7):
                begin = time.thread_time()
                assert not auth.check(basic(user, "wrong"))
                taken.append(time.thread_time() - begin)
            return statistics.median(taken)

        assert seconds("nobody") == pytest.approx(seconds("ana"), rel=0.5)

    def test_a_colon_belongs_to_the_password(self):
        assert parse(basic("ana", "a:b")) == ("ana", b"a:b")


def basic(user, password):
    """The header that a client would send."""
    request = httpx.Request("GET", "http://x")
    return next(httpx.BasicAuth(user, password).auth_flow(request)).headers["Authorization"]


@pytest.mark.slow
class TestTls:
    def test_the_page_is_served_to_who_trusts_the_authority(self, serve, tls, certificates):
        served = serve(web_config=tls())
        served.page.body = b"streamgauge_spans_total 1\n" * 200_000
        answer = httpx.get(f"{served.secure_url}/metrics", verify=trusting(certificates))
        assert answer.content == served.page.body

    def test_plain_http_is_cut_off(self, serve, tls):
        served = serve(web_config=tls())
        assert b"HTTP" not in served.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")

    def test_versions_below_the_least_are_refused(self, serve, tls, certificates):
        served = serve(web_config=tls("  min_version: TLS13\n"))
        context = trusting(certificates)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{served.secure_url}/metrics", verify=context)
        assert httpx.get(f"{served.secure_url}/metrics", verify=trusting(certificates)).status_code == 200

    def test_only_clients_with_a_certificate_of_the_authority_are_let_in(self, serve, tls, certificates):
        config = tls("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n")
        served = serve(web_config=config)
        answer = httpx.get(f"{served.secure_url}/metrics", verify=trusting(certificates, "client"))
        assert answer.text == "up 1\n"
        for refused in (None, "stranger"):
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{served.secure_url}/metrics", verify=trusting(certificates, refused))
        assert served.page.renders == 1

    def test_where_a_certificate_is_optional_a_wrong_one_is_still_refused(self, serve, tls, certificates):
        config = tls("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n")
        served = serve(web_config=config)
        for welcome in (None, "client"):
            assert httpx.get(f"{served.secure_url}/metrics", verify=trusting(certificates, welcome)).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{served.secure_url}/metrics", verify=trusting(certificates, "stranger"))

    def test_a_renewed_certificate_is_used_without_a_restart(self, serve, tls, certificates, tmp_path, caplog):
        served = serve(web_config=tls())
        assert shown_certificate(served, certificates) == "server"
        shutil.copy(tmp_path / "renewed.pem", tmp_path / "server.pem")
        assert shown_certificate(served, certificates) == "server", "half of a pair must not be used"
        assert "the certificate in use stays" in caplog.text
        shutil.copy(tmp_path / "renewed_key.pem", tmp_path / "server_key.pem")
        assert shown_certificate(served, certificates) == "renewed"

    def test_a_handshake_that_never_begins_is_cut_off_and_delays_nobody(self, serve, tls, certificates):
        served = serve(web_config=tls(), limits=Limits(head_seconds=1, connections=10))
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(served.connect()) for _ in range(9)]
            begin = time.monotonic()
            assert httpx.get(f"{served.secure_url}/metrics", verify=trusting(certificates)).status_code == 200
            assert time.monotonic() - begin < 1
            assert [served.rest(client) for client in silent] == [b""] * 9
            assert time.monotonic() - begin < 4

    def test_a_client_that_never_reads_is_cut_off(self, serve, tls, certificates):
        served = serve(web_config=tls(), limits=Limits(response_seconds=1))
        served.page.body = b"x" * 20_000_000
        with trusting(certificates).wrap_socket(served.connect(), server_hostname="127.0.0.1") as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(1.5)
            assert served.server.open_connections == 0

    def test_it_stops_while_a_handshake_hangs(self, serve, tls):
        served = serve(web_config=tls())
        with served.connect():
            time.sleep(0.1)
            begin = time.monotonic()
            served.server.stop()
            assert time.monotonic() - begin < 3


def shown_certificate(served, certificates):
    """The common name of the certificate that the server shows to a new client."""
    with trusting(certificates).wrap_socket(served.connect(), server_hostname="127.0.0.1") as client:
        return dict(pair for group in client.getpeercert()["subject"] for pair in group)["commonName"]
