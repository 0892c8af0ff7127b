"""Credentials: masked in texts, absent from digests, and in nothing that a run leaves or prints."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fresh
import pytest
import yaml
from thalweg import Registry
from thalweg.boundaries.access import opening
from thalweg.credentials import bare, hidden, literals, mask_logs, masked, without
from thalweg.errors import OptionError, ThalwegError
from thalweg.recipes.planning import plans
from thalweg.recipes.provenance import record

Recipes = Callable[..., Path]
Serve = Callable[[Callable[[Any], None]], Any]

REGISTRY = Registry.installed()

TEXTS = {
    "the password of a URL": ("https://me:{}@host/x.nc", "https://me:***@host/x.nc"),
    "a password that holds @": ("https://me:a@{}@host/x", "https://me:***@host/x"),
    "a password without user": ("https://:{}@host/x", "https://:***@host/x"),
    "a token as the user": ("https://abcDEF123@host/x", "https://***@host/x"),
    "a key as the user, without a password": ("https://abcDEF123:@host/x", "https://***:@host/x"),
    "a key as GitHub takes it": ("https://abcDEF123:x-oauth-basic@host/x", "https://***:x-oauth-basic@host/x"),
    "the key of OpenWeatherMap": ("https://host/x?lat=1&appid={}", "https://host/x?lat=1&appid=***"),
    "the key of a user": ("https://host/x?user_key={}&v=1", "https://host/x?user_key=***&v=1"),
    "the id of a session": ("https://host/x?sessionid={}", "https://host/x?sessionid=***"),
    "a shared access signature": ("SharedAccessSignature={};a=1", "SharedAccessSignature=***;a=1"),
    "a signature of Amazon": ("s3://b/k?X-Amz-Signature={}&v=1", "s3://b/k?X-Amz-Signature=***&v=1"),
    "a signature of Azure": ("https://h/k?sv=2020&sig={}", "https://h/k?sv=2020&sig=***"),
    "a token in a query": (
        "no answer at http://h/k?access_token={}, twice",
        "no answer at http://h/k?access_token=***, twice",
    ),
    "an assignment of a shell": ("export AWS_SECRET_ACCESS_KEY={}; ls", "export AWS_SECRET_ACCESS_KEY=***; ls"),
    "an entry of a dict": ("{{'secret_key': '{}', 'anon': False}}", "{{'secret_key': ***, 'anon': False}}"),
    "a header": ("Authorization: Bearer {}", "Authorization: ***"),
    "a header as a pair": ("('X-Api-Key', '{}')", "('X-Api-Key', ***)"),
    "a header as a pair of bytes": ("(b'X-Api-Key', b'{}')", "(b'X-Api-Key', b***)"),
    "the header of a login as a pair": ("[b'Authorization', b'Bearer {}']", "[b'Authorization', b***]"),
    "a connection string": ("AccountKey={};EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_credential_in_a_text_is_masked(case: str) -> None:
    given, wanted = TEXTS[case]
    found = masked(given.format("abcDEF123+/="))
    assert "DEF123" not in found
    assert found.replace("'***'", "***") == wanted.format()


def test_what_stands_below_a_telling_name_is_a_credential() -> None:
    tree = {"credentials": {"who": "planted-1", "more": ["planted-2"]}, "environment": {"HF_TOKEN": "planted-3"}}
    assert "planted" not in str(hidden(tree))
    assert "planted" not in str(without(tree))
    assert sorted(literals(tree)) == ["planted-1", "planted-2", "planted-3"]
    assert literals("https://planted-4:@host/x") == ["planted-4"]


def test_a_key_in_a_url_is_no_part_of_what_it_names() -> None:
    for query in ("X-API-KEY=a", "appid=a", "user_key=a", "sessionid=a"):
        assert bare(f"https://host/x?v=1&{query}") == "https://host/x?v=1"
    # These tell one source from another.
    assert bare("https://host/x?pass=ascending&session=3") == "https://host/x?pass=ascending&session=3"


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8080/a@b.nc?time=1&key2=3",
        "rmse 0.5, tokens=12, key=latitude",
        "https://me:${PASSWORD}@host/x?token=${TOKEN}",
        "/data/a:b@c/x",
        "no metric is called 'x'",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert masked(text) == text


OPTIONS = {
    "path": "https://me:planted-1@host/x.nc?sig=planted-2&v=1",
    "storage_options": {
        "key": "planted-3",
        "anything": "planted-4",
        "anon": False,
        "endpoint_url": "https://host",
        "token": "${TOKEN}",
        "client_kwargs": {"aws_session_token": "planted-5", "headers": {"X-Any": "planted-6"}, "region_name": "eu"},
    },
    "password": 123456789,
    "key": "latitude",
}


def test_plain_data_keeps_all_but_credentials() -> None:
    shown = hidden(OPTIONS)
    assert "planted" not in str(shown)
    assert shown["storage_options"] == {
        "key": "***",
        "anything": "***",
        "anon": False,
        "endpoint_url": "https://host",
        "token": "${TOKEN}",
        "client_kwargs": {"aws_session_token": "***", "headers": {"X-Any": "***"}, "region_name": "eu"},
    }
    assert shown["key"] == "latitude"
    assert hidden(shown) == shown
    assert set(literals(OPTIONS)) == {*(f"planted-{i}" for i in range(1, 7)), "123456789"}


def test_what_a_digest_sees_does_not_change_with_a_key() -> None:
    kept = without(OPTIONS)
    assert kept == {
        "path": "https://host/x.nc?v=1",
        "storage_options": {"endpoint_url": "https://host", "client_kwargs": {"region_name": "eu"}},
        "key": "latitude",
    }
    assert without({"storage_options": {"key": "a", "client_kwargs": {"headers": {"a": "b"}}}}) == without(
        {"storage_options": {}}
    )
    assert bare("https://h/x?X-Amz-Expires=3&q=2") == bare("https://h/x?q=2") == "https://h/x?q=2"


def test_a_part_has_one_digest_under_every_key() -> None:
    def of(**options: Any) -> dict[str, Any]:
        given = {"array": {"path": "s3://b/x.nc", "variables": ["x"], "storage_options": options}}
        return record(REGISTRY.make("datasets", given))

    assert of(key="planted-1", secret="planted-2") == of(key="other", secret="${NAME}") == of(profile="me") == of()
    assert of(endpoint_url="https://other") != of()


def test_errors_and_logs_are_masked() -> None:
    error = ThalwegError("https://me:planted@host", allowed="token_secret=planted", advice="ask https://a:planted@b")
    assert "planted" not in str(error) + repr(error) + error.given
    made, stream = logging.getLogRecordFactory(), io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("elsewhere")
    log.addHandler(handler)
    try:
        mask_logs()
        log.warning("no answer from %s", "https://me:planted@host")
        try:
            raise ValueError("https://me:planted@host")
        except ValueError:
            log.exception("failed")
    finally:
        logging.setLogRecordFactory(made)
        log.removeHandler(handler)
    assert "planted" not in stream.getvalue()
    assert "ValueError: https://me:***@host" in stream.getvalue()


@pytest.mark.bad_input("servers", "`${NAME}` of an environment variable that is not set")
def test_a_reference_to_nothing_is_refused(recipe: Recipes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    file = recipe()
    tree = yaml.safe_load(file.read_text())
    tree["ingest"]["array"] |= {"path": "http://127.0.0.1:9/x.nc", "storage_options": {"key": "${NO_SUCH_KEY}"}}
    file.write_text(yaml.safe_dump(tree))
    with pytest.raises(OptionError, match="needs the environment variable 'NO_SUCH_KEY', which is not set"):
        plans(file, registry=REGISTRY)


@pytest.mark.bad_input("servers", "`${{NAME}}` of a variable that is not set, in a URL: {id}")
@pytest.mark.parametrize(
    "name", ["MY_SECRET", "API_TOKEN", "DB_PASSWORD", "AUTHORIZATION", "SESSION_COOKIE", "access_key_id"]
)
@pytest.mark.parametrize("url", ["http://me:${%s}@127.0.0.1:9/x.nc", "http://127.0.0.1:9/x.nc?appid=${%s}&v=1"])
def test_words_after_the_name_of_a_secret_are_no_secret(monkeypatch: pytest.MonkeyPatch, url: str, name: str) -> None:
    monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError) as caught:
        opening(url % name)
    assert str(caught.value).splitlines() == [
        f"{url % name!r} needs the environment variable {name!r}, which is not set",
        "  allowed: `${NAME}` with the name of a variable that is set",
        f"  do: set {name}, or name another variable",
    ]


@pytest.mark.bad_input("command line", "a credential in a value that is refused: the error does not repeat it")
@pytest.mark.parametrize(
    "override",
    [
        "ingest.storage_options=[planted-SECRET]",
        "ingest.storage_options={key: planted-SECRET, client_kwargs: 3}",
        "ingest={array: {storage_options: {key: planted-SECRET}}, kaplan: {}}",
        "ingest.missing={storage_options: {key: planted-SECRET}}",
        "cluster={kubernetes: {environment: {DB_PASSWORD: planted-SECRET}}, local: {}}",
        "store=foo://me:planted-SECRET@host/x",
        "ingest.path=foo://me:planted-SECRET@host/x",
        "ingest.path=http://me:planted-SECRET@127.0.0.1:9/x?sig=planted-SECRET",
        "train.method=https://me:planted-SECRET@host/x",
        "password=planted-SECRET",
    ],
)
def test_a_refusal_does_not_repeat_a_credential(recipe: Recipes, override: str) -> None:
    from thalweg.commands.cli import app
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, ["plan", str(recipe()), "--set", override])
    assert done.exit_code in (0, 2), done.output
    assert "planted" not in done.output


PLANTED = re.compile(rb"planted-\w+")


def leftovers(folder: Path) -> dict[str, set[bytes]]:
    """Files that hold, or are called by, something planted."""
    found = {}
    for file in folder.rglob("*"):
        text = file.name.encode() + (file.read_bytes() if file.is_file() else b"")
        if PLANTED.search(text):
            found[str(file.relative_to(folder))] = set(PLANTED.findall(text))
    return found


@pytest.mark.fault(
    "servers", "credentials in the recipe, on the command line, in the store's and the tracker's URL: grep"
)
@pytest.mark.slow
def test_nothing_that_a_run_leaves_holds_a_credential(
    serve: Serve, recipe: Recipes, wave: Path, tmp_path: Path
) -> None:
    body, broken = wave.read_bytes(), []

    def respond(asked: Any) -> None:
        known = asked.headers.get("X-Key") in ("planted-one", "planted-two", "from-environment")
        if not known or "sig=planted" not in asked.path:
            asked.answer(b"", 403)
        elif broken and asked.command == "GET" and asked.headers.get("Range") is None:
            asked.answer(body, cut=10)
        elif asked.path.startswith("/wave.nc?"):
            asked.answer(body)
        else:
            asked.answer(b"", 404)

    server = serve(respond)
    place = server.url.removeprefix("http://")
    file = recipe()
    tree = yaml.safe_load(file.read_text())
    tree["ingest"]["array"] |= {
        "path": f"http://me:planted-password@{place}/wave.nc?sig=planted-signature&v=1",
        "storage_options": {"client_kwargs": {"headers": {"X-Key": "planted-one"}}},
    }
    file.write_text(yaml.safe_dump(tree))
    left = tmp_path / "left"
    left.mkdir()
    environment = {
        **os.environ,
        "THALWEG_STORE": str(left / "store"),
        "THALWEG_CACHE": str(left / "cache"),
        "THALWEG_TRACKING": "on",
        "HOME": str(left),
        "SOME_KEY": "from-environment",
        "THALWEG_TIMEOUT": "2",
    }

    def thalweg(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return fresh.command(*arguments, environment={**environment, **more}, folder=left)

    done = thalweg("run", str(file), "-v")
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    # Another key on the command line, and one by reference: the same digests, so all is reused.
    key = "ingest.storage_options.client_kwargs.headers.X-Key="
    for value in ("planted-two", "${SOME_KEY}"):
        again = thalweg("run", str(file), "--set", f"{key}{value}", "-v", THALWEG_TRACKING="off")
        assert again.returncode == 0, again.stderr
        assert "ingest" in again.stderr
        assert not re.search(r"(ingest|evaluate) \w+: [\d.]+ s", again.stderr)
        printed += again.stdout + again.stderr
    shown = thalweg("plan", str(file), "--resolved")
    assert yaml.safe_load(shown.stdout)["ingest"]["array"]["storage_options"]["client_kwargs"]["headers"] == {
        "X-Key": "***"
    }
    # A run that fails with the library's own words, and one whose tracker's address has a password and is dead.
    broken.append(True)
    dead = f"http://me:planted-tracker@{place}"
    failed = thalweg(
        "run",
        str(file),
        "--set",
        "name=cut",
        "--from",
        "ingest",
        THALWEG_CACHE=str(left / "other"),
        MLFLOW_TRACKING_URI=dead,
    )
    assert failed.returncode in (1, 2)
    assert "Traceback" not in failed.stderr
    printed += shown.stdout + shown.stderr + failed.stdout + failed.stderr
    assert not PLANTED.findall(printed.encode())
    assert leftovers(left) == {}
    assert (left / "store" / "mlflow.db").is_file()


def test_a_part_shows_no_credential_of_its_own() -> None:
    given = {"path": "s3://me:planted@b/x.nc", "variables": ["x"], "storage_options": {"key": "planted"}}
    made = REGISTRY.make("datasets", {"array": given})
    assert "planted" not in f"{made!r} {made}"
    assert made.storage_options == {"key": "planted"}  # type: ignore[attr-defined]
