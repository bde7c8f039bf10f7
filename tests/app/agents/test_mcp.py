"""`/mcp` as an agent sees it, through the protocol's own client: tools, numbers, pictures, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mcp.client import Client
from PIL import Image
from running import running
from uploads import as_bytes, nine_hundred_megapixels, scene

from app.main import create_app
from app.settings import read_settings
from evaluation.scores import REGIONS, score
from lfi.comparison import MODELS
from lfi.trio import Trio

PICTURE = base64.b64encode(as_bytes(scene())).decode()
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def service(trio_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    settings = read_settings(
        models_dir=trio_folder.parent,
        trio=trio_folder.name,
        max_bytes=4_000_000,
        mcp_hosts="lfi.example.org",
        kept_folder=tmp_path_factory.mktemp("kept"),
    )
    return create_app(settings)


@pytest.fixture(scope="module")
def address(service: FastAPI) -> Iterator[str]:
    with running(service) as url:
        yield url


def asked(address: str, use: Callable[[Client], Awaitable[Any]]) -> Any:
    async def talk() -> Any:
        async with Client(f"{address}/mcp") as client:
            return await use(client)

    return asyncio.run(talk())


def call(address: str, tool: str, **arguments: object) -> Any:
    return asked(address, lambda client: client.call_tool(tool, arguments))


def test_an_agent_finds_two_tools_that_only_read(address):
    tools = asked(address, lambda client: client.list_tools()).tools
    assert [tool.name for tool in tools] == ["describe_models", "interaction_maps"]
    assert all(tool.annotations.read_only_hint for tool in tools)
    assert set(tools[1].input_schema["required"]) == {"image", "words"}
    assert "regions" in json.dumps(tools[1].output_schema)


def test_the_models_are_described(address, trio_folder):
    answer = call(address, "describe_models")
    (trio,) = answer.structured_content["trios"]
    assert answer.structured_content["default"] == "tiny"
    assert trio["vocabulary"] == list(Trio.load(trio_folder).vocabulary)
    assert trio["models"]["lfi"]["card"]["limits"] == ["It has learned nothing."]


def test_maps_are_numbers_and_pictures(address, trio_folder):
    answer = call(address, "interaction_maps", image=PICTURE, words=["star", "red circle"])
    assert not answer.is_error
    numbers = answer.structured_content
    assert (numbers["width"], numbers["height"], numbers["trio"]) == (96, 64, "tiny")
    truth = score(Trio.load(trio_folder).compare(scene(), ["star", "red circle"]))
    for word, scores in zip(numbers["words"], truth, strict=True):
        assert word["nearness"] == pytest.approx(scores.nearness, rel=0.01)
        for model in MODELS:
            look = word["models"][model]
            assert look["peak"] == pytest.approx(scores.looks[model].peak, rel=0.01)
            assert tuple(look["regions"]) == REGIONS
            assert (look["agrees_with_teacher"] is None) == (model == "teacher")
    pictures = [block for block in answer.content if block.type == "image"]
    assert [(each["model"], each["word"]) for each in numbers["overlays"]] == [
        (model, word) for model in MODELS for word in ("star", "red circle")
    ]
    assert len(pictures) == len(numbers["overlays"])
    assert Image.open(io.BytesIO(base64.b64decode(pictures[0].data))).size == (96, 64)
    assert json.loads(answer.content[0].text) == numbers


def test_articles_are_left_out(address):
    arguments = {"image": PICTURE, "models": ["teacher"], "overlays": False}
    full, plain = (call(address, "interaction_maps", words=[word], **arguments) for word in ("The star", "star"))
    assert full.structured_content == plain.structured_content


def test_a_data_url_will_do_and_pictures_can_be_left_out(address):
    arguments = {"image": f"data:image/png;base64,{PICTURE}", "words": ["star"], "models": ["lfi"], "overlays": False}
    answer = call(address, "interaction_maps", **arguments)
    assert [block.type for block in answer.content] == ["text"]
    assert answer.structured_content["overlays"] == []
    assert list(answer.structured_content["words"][0]["models"]) == ["lfi"]


def test_a_kept_picture_is_asked_for_by_its_hash_until_it_is_let_go(address, service):
    receipt = service.state.engine.kept.keep(scene())
    arguments = {"words": ["star"], "models": ["lfi"]}
    sent = call(address, "interaction_maps", image=PICTURE, **arguments)
    for hash in (receipt.hash, receipt.hash.upper()):
        assert call(address, "interaction_maps", image=hash, **arguments) == sent
    service.state.engine.kept.forget(receipt.hash, [receipt.key])
    refused = call(address, "interaction_maps", image=receipt.hash, **arguments)
    assert refused.is_error
    assert refused.content[0].text.endswith(
        f"no image with the SHA-256 {receipt.hash[:12]}... is kept here (any more): "
        "send the image itself, or keep it again on the page"
    )


def test_a_kept_picture_whose_time_is_over_is_not_answered(address, service, monkeypatch):
    receipt = service.state.engine.kept.keep(scene())
    monkeypatch.setattr(service.state.engine.kept, "clock", lambda: receipt.until + 1)
    assert call(address, "interaction_maps", image=receipt.hash, words=["star"]).is_error


REFUSED = {
    "unknown word": ({"words": ["starr"]}, "does not know 'starr' (nearest: star"),
    "no words": ({"words": []}, "no words were given"),
    "too many words": ({"words": [f"w{n}" for n in range(17)]}, "at most 16"),
    "unknown model": ({"models": ["gpt"]}, "no model 'gpt'"),
    "unknown trio": ({"trio": "nobody"}, "no trio 'nobody'"),
    "no image": ({"image": "photos/cat.jpg"}, "neither base64 nor a data URL"),
    "text": ({"image": base64.b64encode(b"a cat").decode()}, "not an image we can read"),
    "a bomb": ({"image": base64.b64encode(nine_hundred_megapixels()).decode()}, "at most 50 megapixels"),
    "too many pictures": ({"words": ["star", "moon", "heart", "cross", "ring"]}, "15 pictures would be sent"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_told_in_words_that_an_agent_can_act_on(case, address):
    fields, said = REFUSED[case]
    answer = call(address, "interaction_maps", **{"image": PICTURE, "words": ["star"], **fields})
    assert answer.is_error
    assert said in answer.content[0].text


def test_other_sites_pages_and_rebound_names_get_nothing(address):
    def status(**headers: str) -> int:
        return httpx.post(f"{address}/mcp", json=CALL, headers=HEADERS | headers).status_code

    assert status() == 200
    assert status(Host="lfi.example.org") == 200
    assert status(Host="evil.example.org") == 421
    assert status(Origin="https://evil.example.org") == 403
    assert status(Origin="https://lfi.example.org") == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_nothing_holds_a_connection_open(method, address):
    answer = httpx.request(method, f"{address}/mcp", headers=HEADERS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_an_image_may_be_as_large_as_elsewhere_and_a_request_as_large_as_its_base64(address):
    image = as_bytes(scene(1140, 1140), "BMP")
    assert 3_890_000 < len(image) < 4_000_000
    arguments = {"words": ["star"], "models": ["lfi"], "overlays": False}
    answer = call(address, "interaction_maps", image=base64.b64encode(image).decode(), **arguments)
    assert not answer.is_error
    refused = call(address, "interaction_maps", image=base64.b64encode(image + bytes(200_000)).decode(), **arguments)
    assert "at most 4 MB are accepted" in refused.content[0].text
    answer = httpx.post(f"{address}/mcp", content=b"x" * 6_400_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:problem-type:lfi:request-too-large"
    assert answer.json()["detail"] == "the request is larger than 6.33333 MB, which is the limit"
