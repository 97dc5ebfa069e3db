"""Log-in at an OpenID provider: a real one, that checks the code's PKCE proof, in a thread of the test."""

from __future__ import annotations

import base64
import hashlib
import io
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import oidc_provider_mock
import pytest
from werkzeug.serving import make_server

from helpers_desk import Place, running, state_of
from kanhu import config
from kanhu.errors import ConfigError
from kanhu.web import oidc

PUBLIC = "http://localhost"  # how the provider knows the desk; the test goes to the port that it has
ALLOWED = {"kanhu_role": "operator", "kanhu_region": "cn/42/01", "name": "李娜"}


class Provider:
    """authlib's own authorization server; what it leaves out of PKCE (RFC 7636) is done here."""

    def __init__(self) -> None:
        people = [
            oidc_provider_mock.User(sub="li", claims=ALLOWED),
            oidc_provider_mock.User(sub="wall", claims={**ALLOWED, "kanhu_role": ["staff", "viewer"]}),
            oidc_provider_mock.User(
                sub="boss", claims={**ALLOWED, "kanhu_role": "desk-lead", "kanhu_region": "*"}
            ),
            oidc_provider_mock.User(sub="empty", claims={"kanhu_role": "operator", "kanhu_region": ""}),
            oidc_provider_mock.User(sub="nobody", claims={"name": "no role"}),
            oidc_provider_mock.User(
                sub="lost", claims={"kanhu_role": "operator", "kanhu_region": "The Moon"}
            ),
        ]
        self._app = oidc_provider_mock.app(require_nonce=True, user_claims=people)
        self.challenges: list[str] = []
        self.proven = 0
        self.says_to_be = ""
        self.server = make_server("127.0.0.1", 0, self._check, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def _check(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if self.says_to_be:
            environ["HTTP_HOST"] = self.says_to_be
        if environ["PATH_INFO"] == "/oauth2/authorize":
            assert query["code_challenge_method"] == ["S256"]
            self.challenges += query["code_challenge"]
        elif environ["PATH_INFO"] == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(body)
            verifier = parse_qs(body.decode()).get("code_verifier", [""])[0]
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
            if digest.decode() not in self.challenges:
                start("400 Bad Request", [("Content-Type", "application/json")])
                return [b'{"error":"invalid_grant"}']
            self.proven += 1
        return self._app(environ, start)


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib.*")  # the provider's


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.thread.join(5)
    made.server.server_close()


@asynccontextmanager
async def desk_of(provider: Provider, folder: Path, **more: Any) -> AsyncIterator[Place]:
    (folder / "secret").write_text("a client's secret\n")
    oidc = {
        "issuer": provider.url, "client_id": "kanhu-desk", "client_secret_file": str(folder / "secret"),
        "scopes": ["openid", "profile"], "roles": {"desk-lead": "supervisor"}, **more,
    }  # fmt: skip
    async with running(folder, public_url=PUBLIC, oidc=oidc) as place:
        yield place


async def log_in(client: httpx2.AsyncClient, sub: str, path: str = "/desk") -> httpx2.Response:
    """What a browser does: to the provider, through its form, and back to the desk."""
    answer = await client.get(f"/desk/login/oidc?next={path}")
    assert answer.status_code in (302, 303), answer.text
    at_provider = answer.headers["location"]
    async with httpx2.AsyncClient(verify=False) as browser:  # plain HTTP
        back = await browser.post(at_provider, data={"sub": sub, "action": "authorize"})
    assert back.status_code in (302, 303), back.text
    assert back.headers["location"].startswith(f"{PUBLIC}/desk/login/oidc/callback?")
    return await client.get(back.headers["location"].removeprefix(PUBLIC))


async def test_the_providers_claims_say_what_somebody_may_do(provider: Provider, tmp_path: Path) -> None:
    async with desk_of(provider, tmp_path) as place:
        li = place.client()
        assert "/desk/login/oidc" in (await li.get("/desk/login")).text
        answer = await log_in(li, "li")
        assert (answer.status_code, "url=/desk" in answer.text) == (200, True)
        assert "samesite=strict" in answer.headers["set-cookie"].lower()
        me = (await state_of(li))["me"]
        assert (me["role"], me["region"], me["name"]) == ("operator", "cn/42/01", "李娜")
        assert provider.proven == 1
        wall = place.client()
        assert "url=/desk/wall" in (await log_in(wall, "wall", "/desk/wall")).text
        assert (await state_of(wall))["me"]["role"] == "viewer"
        boss = place.client()
        await log_in(boss, "boss")
        me = (await state_of(boss))["me"]
        assert (me["role"], me["region"]) == ("supervisor", "")
        # Again is the same operator, brought up to date.
        again = place.client()
        place.desk.operators.change(me["id"], region="cn/99")
        await log_in(again, "boss")
        assert (await state_of(again))["me"] == me
        assert len(place.desk.operators.list()) == 3
        assert [row["what"] for row in place.desk.audit.page()] == ["login"] * 4


async def test_who_has_no_place_at_the_desk_does_not_get_in(provider: Provider, tmp_path: Path) -> None:
    async with desk_of(provider, tmp_path) as place:
        for sub in ("nobody", "lost", "empty", "stranger"):
            client = place.client()
            answer = await log_in(client, sub)
            assert answer.status_code == 303
            assert answer.headers["location"] in (
                "/desk/login?error=not_allowed", "/desk/login?error=provider_failed",
            )  # fmt: skip
            assert (await client.get("/desk/api/state")).status_code == 401
        assert place.desk.operators.list() == []
        li = place.client()
        await log_in(li, "li")
        (operator,) = place.desk.operators.list()
        place.desk.operators.disable(operator.id)
        answer = await log_in(place.client(), "li")
        assert answer.headers["location"] == "/desk/login?error=not_allowed"


async def test_an_answer_that_was_not_asked_for_is_refused(provider: Provider, tmp_path: Path) -> None:
    async with desk_of(provider, tmp_path) as place:
        victim, attacker = place.client(), place.client()
        # Somebody else's answer: its state is not of this browser.
        started = (await attacker.get("/desk/login/oidc")).headers["location"]
        async with httpx2.AsyncClient(verify=False) as browser:  # plain HTTP
            back = await browser.post(started, data={"sub": "li", "action": "authorize"})
        for url in (
            back.headers["location"].removeprefix(PUBLIC), "/desk/login/oidc/callback",
            "/desk/login/oidc/callback?code=x&state=y",
            "/desk/login/oidc/callback?error=access_denied&state=y",
        ):  # fmt: skip
            answer = await victim.get(url)
            assert answer.headers["location"] == "/desk/login?error=provider_failed"
            assert (await victim.get("/desk/api/state")).status_code == 401
        # A stolen code without its PKCE proof is worth nothing.
        code = parse_qs(urlsplit(back.headers["location"]).query)["code"][0]
        async with httpx2.AsyncClient(verify=False) as browser:  # plain HTTP
            answer = await browser.post(
                f"{provider.url}/oauth2/token",
                data={"grant_type": "authorization_code", "code": code, "client_id": "kanhu-desk"},
            )
        assert answer.status_code == 400


async def test_a_provider_that_is_gone_or_another_leaves_the_password(
    provider: Provider, tmp_path: Path, cheap_passwords: None
) -> None:
    async with desk_of(provider, tmp_path, issuer="http://127.0.0.1:9") as place:
        li = await place.operator("li", log_in=False)
        answer = await li.get("/desk/login/oidc")
        assert answer.headers["location"] == "/desk/login?error=provider_failed"
        assert (await li.get(answer.headers["location"])).status_code == 200
    provider.says_to_be = "evil.example"
    async with desk_of(provider, tmp_path) as place:
        answer = await place.client().get("/desk/login/oidc")
        assert answer.headers["location"] == "/desk/login?error=provider_failed"


async def test_who_begins_a_log_in_does_not_make_the_loop_read_certificates(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_of(provider, tmp_path) as place:
        client = place.client()
        read: list[object] = []
        plain = ssl.SSLContext.load_verify_locations

        def counted(*names: Any) -> None:
            read.append(names)
            plain(*names)

        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
        for _ in range(3):
            assert "/oauth2/authorize" in (await client.get("/desk/login/oidc")).headers["location"]
        assert not read


def test_a_file_of_certificates_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.crt"
    wrong.write_text("no certificate\n")
    settings = config.Oidc(issuer="https://id.example", client_id="desk", ca_file=wrong)
    with pytest.raises(ConfigError, match=r"desk\.oidc\.ca_file"):
        oidc.Provider(settings, "https://desk.example", "s" * 64)
