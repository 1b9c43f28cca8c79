from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError
from lawtags_client.settings import ServiceName, Settings

PROFILES = """
schema_version = 1
default_profile = "cluster"

[profiles.cluster]
platform_url = "https://nemo.example.com/"
ca_file = "ca.pem"
max_retries = 2

[profiles.other]
platform_url = "http://other.example.com"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lawtags.toml").write_text(PROFILES)
    (tmp_path / "a" / "b").mkdir(parents=True)
    return tmp_path


def test_profile_is_found_in_a_folder_above(folder: Path) -> None:
    settings = Settings.load(environ={}, folder=folder / "a" / "b")
    assert settings.platform_url == "https://nemo.example.com"
    assert (settings.profile, settings.max_retries) == ("cluster", 2)
    assert settings.ca_file == folder / "ca.pem"


def test_argument_wins_over_environment_over_vendor_name_over_profile(folder: Path) -> None:
    vendor = {"NEMO_MICROSERVICES_BASE_URL": "http://vendor"}
    own = {**vendor, "LAWTAGS_PLATFORM_URL": "http://own"}
    load = Settings.load
    assert load(environ=vendor, folder=folder).platform_url == "http://vendor"
    assert load(environ=own, folder=folder).platform_url == "http://own"
    assert load(environ=own, folder=folder, platform_url="http://told").platform_url == "http://told"
    assert load("other", environ={}, folder=folder).platform_url == "http://other.example.com"
    assert load(environ={"LAWTAGS_PROFILE": "other"}, folder=folder).profile == "other"


def test_empty_variable_counts_as_absent(folder: Path) -> None:
    settings = Settings.load(environ={"LAWTAGS_PLATFORM_URL": "", "LAWTAGS_TOKEN": ""}, folder=folder)
    assert (settings.platform_url, settings.token) == ("https://nemo.example.com", None)


def test_each_service_falls_back_to_the_platform() -> None:
    settings = Settings(
        platform_url="http://p:1", data_store_url="http://d:2/v1/hf", inference_url="http://i/v1"
    )
    assert settings.address("customizer").url == "http://p:1"
    assert settings.address("data_store").url == "http://d:2"
    assert settings.address("inference").url == "http://i"


def test_address_tells_which_setting_it_came_from(folder: Path) -> None:
    settings = Settings.load(environ={"CUSTOMIZER_BASE_URL": "http://c"}, folder=folder)
    assert settings.address("customizer").origin == "customizer_url (environment CUSTOMIZER_BASE_URL)"
    assert "profile cluster in" in settings.address("evaluator").origin


def test_token_of_the_platform_does_not_reach_a_hosted_model() -> None:
    settings = Settings(platform_url="http://p", inference_url="https://hosted", token="secret-token")
    assert settings.address("customizer").token == "secret-token"
    assert settings.address("data_store").token == "secret-token"
    assert settings.address("inference").token is None
    assert (
        Settings(platform_url="http://p", token="secret-token").address("inference").token == "secret-token"
    )


def test_repr_hides_secrets_and_shows_the_rest() -> None:
    settings = Settings(platform_url="http://p", token="canary1", wandb_api_key="canary2")
    assert "canary" not in repr(settings) + repr(settings.address("customizer"))
    assert "http://p" in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        "schema_version = 2",
        "[profiles.x]\nplatform_url = 'http://p'",
        "schema_version = 1\nspeed = 9",
        "schema_version = 1\n[profiles.default]\nplatform = 'http://p'",
        "schema_version = 1\n[profiles.default]\nmax_retries = 'many'",
        "schema_version = 1\n[profiles.default]\nplatform_url = 7",
        "schema_version = 1\nprofiles = 3",
        "not toml",
    ],
)
def test_wrong_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "lawtags.toml").write_text(text)
    with pytest.raises(ConfigurationError):
        Settings.load(environ={}, folder=tmp_path)


def test_profile_that_does_not_exist_lists_those_that_do(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="cluster, other"):
        Settings.load("nowhere", environ={}, folder=folder)


@pytest.mark.parametrize(
    "url", ["nemo", "ftp://x", "http://", "http://user:pass@x", "http://x?y=1", "http://x:port", "http://x#a"]
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(platform_url=url)
    assert "pass" not in caught.value.message


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "ümlaut"])
def test_token_that_cannot_be_a_header_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(platform_url="http://p", token=token)
    assert not token or token not in str(caught.value)


def test_unknown_argument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="plattform_url"):
        Settings.load(environ={}, folder=Path("/"), plattform_url="http://p")


def test_token_of_the_local_stack_wins_over_those_of_a_cluster(tmp_path: Path) -> None:
    stack = tmp_path / ".lawtags" / "stack"
    stack.mkdir(parents=True)
    urls = dict.fromkeys(("platform_url", "data_store_url", "inference_url"), "http://127.0.0.1:9")
    (stack / "stack.json").write_text(json.dumps({"pid": os.getpid(), **urls}))
    environ = {"LAWTAGS_TOKEN": "cluster", "NVIDIA_API_KEY": "hosted", "LAWTAGS_LOCAL_TOKEN": "local"}
    settings = Settings.load("local", environ=environ, folder=tmp_path)
    services: tuple[ServiceName, ...] = ("entity_store", "data_store", "inference")
    for address in map(settings.address, services):
        assert address.token == "local"
        assert "environment LAWTAGS_LOCAL_TOKEN" in address.token_origin
    elsewhere = Settings.load(environ=environ | {"LAWTAGS_PLATFORM_URL": "http://p"}, folder=tmp_path)
    assert elsewhere.address("customizer").token == "cluster"


@pytest.mark.parametrize("url", ["", "127.0.0.1:8600"])
def test_a_bad_base_url_is_called_by_the_name_that_was_passed(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url is not"):
        NeMo(base_url=url)


def test_missing_address_says_how_to_give_one() -> None:
    with pytest.raises(ConfigurationError, match="LAWTAGS_PLATFORM_URL"):
        Settings().address("customizer")


@pytest.mark.parametrize(("text", "value"), [("0", False), ("false", False), ("ON", True), ("yes", True)])
def test_switches_are_read_from_words(text: str, value: bool, tmp_path: Path) -> None:
    assert Settings.load(environ={"LAWTAGS_TRUST_ENV": text}, folder=tmp_path).trust_env is value


def test_a_byte_order_mark_of_the_file_is_ignored(tmp_path: Path) -> None:
    text = 'schema_version = 1\n[profiles.cluster]\nplatform_url = "http://127.0.0.1:8710"\n'
    (tmp_path / "lawtags.toml").write_text(text, encoding="utf-8-sig")
    found = Settings.load(profile="cluster", environ={}, folder=tmp_path)
    assert found.platform_url == "http://127.0.0.1:8710"
