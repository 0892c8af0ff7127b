"""A page in Prefect is a courtesy: it costs a flow run a warning at most."""

from __future__ import annotations

import contextvars
import threading

import pytest
from thalweg_flows.report import courtesy

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO")


@pytest.mark.fault("servers", "a Prefect server that refuses a page: the flow goes on")
def test_what_goes_wrong_is_told_and_not_raised() -> None:
    def refuse() -> None:
        raise ConnectionError("no answer from http://me:planted@host\nand more")

    assert courtesy(refuse) == "ConnectionError: no answer from http://me:***@host"
    assert courtesy(lambda: 3) == ""


@pytest.mark.fault("servers", "a Prefect server that never answers: the flow goes on after its budget")
@pytest.mark.timeout(60)
def test_what_hangs_is_left_behind() -> None:
    hang = threading.Event()
    assert courtesy(lambda: hang.wait(300), seconds=0.05) == "Prefect did not answer within 0.05 s"
    hang.set()


def test_the_call_knows_its_flow_run() -> None:
    token = WHO.set("this flow run")
    seen: list[str] = []
    try:
        courtesy(lambda: seen.append(WHO.get("none")))
    finally:
        WHO.reset(token)
    assert seen == ["this flow run"]
