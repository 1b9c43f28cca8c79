from __future__ import annotations

import json
import os
import pickle
from copy import deepcopy
from pathlib import Path
from typing import get_args

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


ADDRESSES = {
    "LAWTAGS_PLATFORM_URL": "http://127.0.0.1:8600",
    "LAWTAGS_CUSTOMIZER_URL": "http://127.0.0.1:8601",
    "DATA_STORE_BASE_URL": "http://127.0.0.1:8602",
    "NIM_PROXY_BASE_URL": "http://127.0.0.1:8603",
}


def test_requested_profile_wins_over_every_address_of_the_environment(folder: Path) -> None:
    environ = {**ADDRESSES, "LAWTAGS_MAX_RETRIES": "9", "SSL_CERT_FILE": "/other.pem"}
    settings = Settings.load("cluster", environ=environ, folder=folder)
    for service in get_args(ServiceName):
        assert settings.address(service).url == "https://nemo.example.com", service
    assert (settings.max_retries, settings.ca_file) == (2, folder / "ca.pem")
    assert "profile cluster in" in settings.address("data_store").origin
    again = settings.reload and settings.reload()
    assert again and again.address("inference").url == "https://nemo.example.com"


@pytest.mark.parametrize("by", ["variable", "default"])
def test_profile_that_was_not_requested_leaves_the_environment_in_front(folder: Path, by: str) -> None:
    environ = {**ADDRESSES, **({"LAWTAGS_PROFILE": "cluster"} if by == "variable" else {})}
    settings = Settings.load(environ=environ, folder=folder)
    assert settings.profile == "cluster"
    assert settings.address("evaluator").url == "http://127.0.0.1:8600"
    assert "environment LAWTAGS_PLATFORM_URL" in settings.address("evaluator").origin


def test_requested_profile_without_addresses_or_tokens_takes_them_from_the_environment(
    tmp_path: Path,
) -> None:
    (tmp_path / "lawtags.toml").write_text("schema_version = 1\n[profiles.quick]\nmax_retries = 0\n")
    environ = {**ADDRESSES, "LAWTAGS_TOKEN": "mine", "LAWTAGS_MAX_RETRIES": "9"}
    settings = Settings.load("quick", environ=environ, folder=tmp_path)
    assert (settings.address("customizer").url, settings.max_retries) == ("http://127.0.0.1:8601", 0)
    assert settings.address("customizer").token == "mine"


@pytest.mark.parametrize(
    ("written", "variable"),
    [
        ("token_file", "LAWTAGS_TOKEN"),
        ("token", "LAWTAGS_TOKEN_FILE"),
        ("inference_token_file", "NVIDIA_API_KEY"),
        ("data_store_token_file", "LAWTAGS_DATA_STORE_TOKEN"),
    ],
)
def test_token_of_a_requested_profile_wins_in_either_form(
    tmp_path: Path, written: str, variable: str
) -> None:
    (tmp_path / "mine").write_text("of-the-profile")
    (tmp_path / "other").write_text("of-the-environment")
    value = "mine" if written.endswith("_file") else "of-the-profile"
    (tmp_path / "lawtags.toml").write_text(
        f'schema_version = 1\n[profiles.cluster]\nplatform_url = "http://p"\n{written} = "{value}"\n'
    )
    other = str(tmp_path / "other") if variable.endswith("_FILE") else "of-the-environment"
    settings = Settings.load("cluster", environ={variable: other}, folder=tmp_path)
    service: ServiceName = "inference" if "inference" in written else "data_store"
    assert settings.address(service).token == "of-the-profile"


def test_argument_wins_over_a_requested_profile(folder: Path) -> None:
    settings = Settings.load("cluster", environ=ADDRESSES, folder=folder, inference_url="http://typed")
    assert settings.address("inference").url == "http://typed"
    assert settings.address("customizer").url == "https://nemo.example.com"


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


def test_settings_can_be_sent_to_another_process(folder: Path) -> None:
    settings = Settings.load("cluster", environ={"LAWTAGS_TOKEN": "t"}, folder=folder)
    sent = pickle.loads(pickle.dumps(settings))
    assert sent == settings == deepcopy(settings)
    assert sent.sources == settings.sources
    assert sent.reload is not None and sent.reload() == settings
