from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.file import json_schema, load, loads
from harness.campaign.model import Campaign
from harness.errors import CampaignError, InputFileError
from tests.synthetic.campaigns import MINIMAL, REGISTRY, campaign

CAMPAIGNS = Path(__file__).parents[2] / "campaigns"


def refused(text: str) -> CampaignError:
    with pytest.raises(CampaignError) as caught:
        loads(text, "c.yml", REGISTRY)
    return caught.value


def test_defaults_are_those_documented() -> None:
    parsed = campaign()
    assert (parsed.rig, parsed.seed, parsed.repetitions, parsed.start, parsed.control) == (
        "lab",
        1,
        1,
        "boot",
        0,
    )
    assert (parsed.guest.memory_mib, parsed.guest.vcpus, parsed.guest.boot_timeout_s) == (1024, 1, 300)
    assert (parsed.schedule.mode, parsed.schedule.overlap) == ("back-and-forth", "delay")
    assert parsed.schedule.baseline_s == 10
    assert (parsed.schedule.settle_timeout_s, parsed.schedule.migration_timeout_s) == (120, 300)
    assert parsed.schedule.points_s == (0, 12, 24)
    assert (parsed.migration.mode, parsed.migration.bandwidth_mib_s) == ("pre-copy", None)


def test_workload_options_are_completed_from_the_workload() -> None:
    parsed = campaign(base=MINIMAL.replace("[idle, file]", "[idle, {name: file}]"))
    assert [(choice.name, choice.options) for choice in parsed.workloads] == [
        ("idle", {}),
        ("file", {"clients": 1}),
    ]


def test_heartbeat_rate_depends_on_the_accelerator_unless_given() -> None:
    parsed = campaign()
    assert (parsed.heartbeat.rate_on("kvm"), parsed.heartbeat.rate_on("tcg")) == (1000, 200)
    assert campaign("heartbeat: {rate_hz: 50}\n").heartbeat.rate_on("kvm") == 50


@pytest.mark.parametrize(
    ("text", "line", "fragments"),
    [
        (MINIMAL + "seeds: 3\n", 6, ["seeds: unknown key", "repetitions", "did you mean 'seed'?"]),
        (MINIMAL + "window_s: 3\n", 6, ["window_s: unknown key", "did you mean 'schedule.window_s'?"]),
        (MINIMAL + "start: snap\n", 6, ["start: 'snap'", "'boot' or 'snapshot'", "did you mean 'snapshot'?"]),
        (MINIMAL + "repetitions: 0\n", 6, ["repetitions: 0", "greater than or equal to 1"]),
        (MINIMAL + "repetitions: 1.5\n", 6, ["repetitions: 1.5", "whole number"]),
        (MINIMAL + "seed: '7'\n", 6, ["seed: '7'", "whole number"]),
        (MINIMAL + "guest:\n  vcpus: true\n", 7, ["guest.vcpus: true", "whole number"]),
        (MINIMAL + "guest:\n", 6, ["guest: an empty value", "mapping"]),
        (MINIMAL + "guest: {memory_mb: 5}\n", 6, ["guest.memory_mb", "did you mean 'memory_mib'?"]),
        (MINIMAL + "name: other\n", 6, ["name: the key is there twice", "line 1"]),
        (MINIMAL + "heartbeat: {rate_hz: 0}\n", 6, ["heartbeat.rate_hz: 0"]),
        (MINIMAL + "rig: ''\n", 6, ["rig: ''"]),
        (MINIMAL.replace("small", "Small!"), 1, ["name: 'Small!'", "lower-case letters"]),
        (MINIMAL.replace("name: small\n", ""), 1, ["name: the key is missing", "lower-case letters"]),
        (MINIMAL.replace("  window_s: 60\n", ""), 3, ["schedule.window_s: the key is missing"]),
        (MINIMAL.replace("60", "sixty"), 4, ["schedule.window_s: 'sixty'", "a number"]),
        (MINIMAL.replace("60", ".nan"), 4, ["schedule.window_s: nan"]),
        (MINIMAL.replace("60", "-1"), 4, ["schedule.window_s: -1"]),
        (MINIMAL.replace("24", "60"), 5, ["schedule.points_s", "before the end of the window"]),
        (MINIMAL.replace("24", "12"), 5, ["schedule.points_s", "ascending order"]),
        (MINIMAL.replace("[0, ", "[-1, "), 5, ["schedule.points_s", "from 0 upwards"]),
        (MINIMAL.replace("24", "x"), 5, ["schedule.points_s[2]: 'x'", "a number"]),
        (MINIMAL.replace("[0, 12, 24]", "[]"), 5, ["schedule.points_s"]),
        (MINIMAL.replace("idle,", "idel,"), 2, ["workloads[0].name", "file, idle", "did you mean 'idle'?"]),
        (MINIMAL.replace("idle,", "file,"), 2, ["workloads[1].name", "twice"]),
        (MINIMAL.replace("[idle, file]", "idle"), 2, ["workloads: 'idle'", "a list"]),
        (
            MINIMAL.replace("[idle, file]", "\n  - idle\n  - name: file\n    options: {client: 2}"),
            5,
            ["workloads[1].options.client: unknown key", "did you mean 'clients'?"],
        ),
        (
            MINIMAL.replace("file]", "{name: file, options: {clients: many}}]"),
            2,
            ["workloads[1].options.clients: 'many'"],
        ),
    ],
)
def test_a_mistake_is_named_with_line_key_and_what_is_allowed(
    text: str, line: int, fragments: list[str]
) -> None:
    error = refused(text)
    assert error.where == f"c.yml:{line}"
    assert error.exit_code == 3
    assert error.remedy
    for fragment in fragments:
        assert fragment in str(error)


@pytest.mark.parametrize(
    ("migration", "named"),
    [
        ("{post_copy_after_s: 3}", "post_copy_after_s without mode: post-copy"),
        ("{mode: post-copy, parallel_connections: 2}", "parallel_connections with mode: post-copy"),
        ("{xbzrle: true, parallel_connections: 2}", "parallel_connections with xbzrle"),
        ("{bandwidth_mib_s: 0}", "bandwidth_mib_s: 0"),
        ("{mode: post-copy, post_copy_after_s: 300}", "not before migration_timeout_s"),
        ("{mode: postcopy}", "did you mean 'post-copy'?"),
    ],
)
def test_unsupported_migration_options_are_refused_by_name(migration: str, named: str) -> None:
    error = refused(f"{MINIMAL}migration: {migration}\n")
    assert error.where == "c.yml:6"
    assert named in str(error)


def test_a_post_copy_migration_cannot_be_aborted() -> None:
    error = refused(MINIMAL + "  overlap: abort\nmigration: {mode: post-copy}\n")
    assert error.where == "c.yml:6"
    assert "overlap: abort with migration mode: post-copy" in str(error)


def test_all_mistakes_are_reported_together_in_the_order_of_lines() -> None:
    text = MINIMAL.replace("60", "sixty").replace("idle,", "idel,") + (
        "guest: {cpus: 2}\nguest: {}\nmigration:\n  mod: pre-copy\n  xbzrle_cache_mib: 3\n"
    )
    error = refused(text)
    lines = [line.strip().split(": ")[0] for line in error.why.splitlines()[1:]]
    assert lines == [
        f"c.yml:{number}"
        for number in (2, 4, 6, 7, 9, 10, 10)  # both things wrong with the cache
    ]
    assert "7 mistakes" in error.what


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        ("- name\n", 1, "does not hold a mapping"),
        ("just words\n", 1, "does not hold a mapping"),
        ("name: a\n  rig: b\n", 2, "not YAML"),
        ("name: [a\nrig: b\n", 2, "not YAML"),
        ("name: a\n---\nname: b\n", 2, "not YAML"),
        ("name: a\nrig: \x00\n", 2, "not a text file"),
        ("a: &x [*x]\n", 1, "anchors and aliases"),
        ("&x name: a\nguest:\n  *x : b\n", 1, "anchors and aliases"),
        ("name: a\n%YAML 9.9\n", 2, "directives"),
        ("name: !!python/object:os.system x\n", 1, "tag"),
        ("? {a: b}\n: c\n", 1, "a key is not a plain word"),
        ("[" * 3000, 1, "not YAML"),
        ("name: a\nrig:\n" + "[" * 3000, 3, "not YAML: nested more than 50 deep"),
        ('name: {"a":' + '{"a":' * 3000, 1, "not YAML: nested more than 50 deep"),
        ("a: " + "[" * 80 + "]" * 80 + "\n", 1, "nested more than 50 deep"),
        ("seed: " + "9" * 5000 + "\n", 1, "not the number it looks like"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(text: str, line: int, fragment: str) -> None:
    error = refused(text)
    assert error.where == f"c.yml:{line}"
    assert fragment in str(error)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "c.yml"
    binary.write_bytes(b"\x7fELF\x02\xff\xfe")
    for path, line, fragment in (
        (binary, ":1", "not a text file"),
        (tmp_path / "none.yml", "", "No such file"),
        (tmp_path, "", "Is a directory"),
    ):
        with pytest.raises(InputFileError, match=fragment) as caught:
            load(path, REGISTRY)
        assert caught.value.where == f"{path}{line}"


def test_a_huge_file_is_refused_without_parsing_it(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * 5_000_000)
    with pytest.raises(InputFileError, match="too large"):
        load(path, REGISTRY)
    assert "more than" in str(refused("# " + "x" * 1_000_000))


@given(st.text(alphabet=string.printable + "é\u2028\ud7ff", max_size=80))
def test_any_text_is_a_campaign_or_a_refusal_with_a_line(text: str) -> None:
    for candidate in (text, MINIMAL + text):
        try:
            parsed = loads(candidate, "c.yml", REGISTRY)
        except CampaignError as error:
            place, _, line = error.where.rpartition(":")
            assert place == "c.yml"
            assert 1 <= int(line) <= candidate.count("\n") + candidate.count("\r") + 2
        else:
            assert isinstance(parsed, Campaign)


PAPERS = {"mail", "app", "file", "web", "db", "stream", "idle"}
"""Table IV."""


@pytest.mark.parametrize(
    ("name", "workloads"),
    [
        ("demo", {"idle", "file"}),
        ("nightly", {"idle", "file"}),
        ("paper", PAPERS),
        ("paper-kits", {"mail", "app", "web"}),
        ("paper-lab", PAPERS),
        ("paper-short", PAPERS),
        ("smoke", {"idle", "file"}),
    ],
)
def test_shipped_campaigns_are_valid_and_named_after_their_file(name: str, workloads: set[str]) -> None:
    parsed = load(CAMPAIGNS / f"{name}.yml")
    assert parsed.name == name
    assert parsed.description
    assert {choice.name for choice in parsed.workloads} == workloads


@pytest.mark.parametrize("name", ["paper", "paper-lab"])
def test_the_paper_campaigns_pin_what_the_paper_says(name: str) -> None:
    """The bandwidth is the link's: Table V's data over its total times exceed QEMU's default of the day."""
    parsed = load(CAMPAIGNS / f"{name}.yml")
    assert parsed.schedule.window_s == 120
    assert parsed.schedule.points_s == (0, 24, 48, 72, 96)
    assert (parsed.guest.memory_mib, parsed.guest.vcpus) == (1024, 1)
    assert (parsed.migration.downtime_limit_ms, parsed.migration.bandwidth_mib_s) == (30, 119)


def test_the_paper_campaign_names_the_papers_generators_and_the_lab_one_stands_in() -> None:
    chosen = {one.name: one.options.get("generator") for one in load(CAMPAIGNS / "paper.yml").workloads}
    assert {name: tool for name, tool in chosen.items() if tool} == {
        "mail": "mstone",
        "app": "faban",
        "web": "faban",
    }
    lab = {one.name: one.options.get("generator") for one in load(CAMPAIGNS / "paper-lab.yml").workloads}
    assert {name: tool for name, tool in lab.items() if tool} == dict.fromkeys(
        ("mail", "app", "web"), "locust"
    )


def test_the_schema_refuses_unknown_keys_and_knows_the_workloads() -> None:
    schema = json_schema(REGISTRY)
    assert schema["additionalProperties"] is False
    assert sorted(schema["required"]) == ["name", "schedule", "workloads"]
    bare, *full = schema["properties"]["workloads"]["items"]["anyOf"]
    assert bare["enum"] == ["file", "idle"]
    assert [item["properties"]["name"]["const"] for item in full] == ["file", "idle"]
    assert "clients" in full[0]["properties"]["options"]["properties"]


def test_the_reference_names_every_key() -> None:
    reference = (CAMPAIGNS.parent / "docs" / "campaigns.md").read_text(encoding="utf-8")
    schema = json_schema(REGISTRY)
    keys = set(schema["properties"])
    for definition in schema["$defs"].values():
        keys |= set(definition.get("properties", {}))
    assert {key for key in keys if f"`{key}`" not in reference} == set()


def test_the_errors_in_the_reference_are_those_that_are_printed() -> None:
    reference = (CAMPAIGNS.parent / "docs" / "campaigns.md").read_text(encoding="utf-8")
    example, _, printed = reference.partition("nearest match:\n\n```yaml\n")[2].partition("```\n\n```\n")
    with pytest.raises(CampaignError) as caught:
        loads(example, "mine.yml")
    assert str(caught.value) == printed.partition("\n```")[0]


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "0o" + "7" * 5000])
def test_a_number_of_thousands_of_digits_is_refused_like_any_other(number: str) -> None:
    with pytest.raises(CampaignError) as caught:
        campaign(f"seed: {number}\n")
    assert "seed" in str(caught.value)


ATTESTED = "attest: {interval_s: 1}\n"


def test_a_guest_is_guarded_only_where_hosts_are_attested() -> None:
    error = refused(MINIMAL + "respond: {scenarios: [violation]}\n")
    assert "respond without attest" in str(error)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{scenarios: []}", "respond.scenarios"),
        ("{scenarios: [violation, violation]}", "each scenario once"),
        ("{scenarios: [violations]}", "'violations'"),
        ('{scenarios: [violation], request: ["4"]}', "cloud-manager-trusted"),
        ('{scenarios: [violation], request: ["2", "5"]}', "introspection-conflict"),
        ("{scenarios: [violation], wait_s: 0}", "respond.wait_s"),
    ],
)
def test_what_cannot_be_played_or_granted_is_refused_with_its_line(section: str, said: str) -> None:
    error = refused(MINIMAL + ATTESTED + f"respond: {section}\n")
    assert said in str(error)
    assert "c.yml:" in str(error)


def test_the_shipped_demonstration_plays_every_trigger_in_three_trials_of_each_workload() -> None:
    parsed = load(CAMPAIGNS / "respond.yml")
    assert parsed.respond is not None
    assert set(parsed.respond.scenarios) >= {
        "violation",
        "attestation",
        "request",
        "properties",
        "moving-target",
    }
    assert [choice.name for choice in parsed.workloads] == ["idle", "file", "web"]
    assert parsed.repetitions == 3
    assert len(parsed.schedule.points_s) == 5


SMALL = MINIMAL.replace("[idle, file]", "[idle]") + "guest: {image: small}\n"


def test_a_small_guest_has_256_mib_unless_it_names_another_size() -> None:
    assert loads(SMALL, "mine.yml").guest.memory_mib == 256
    named = SMALL.replace("image: small", "image: small, memory_mib: 128")
    assert loads(named, "mine.yml").guest.memory_mib == 128


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("[idle]", "[idle, web]"), ["workloads[1]", "'web'", "small image", "idle, memory"]),
        (MINIMAL.replace("[idle, file]", "[memory]"), ["workloads[0]", "'memory'", "guest.image: small"]),
        (SMALL.replace("image: small", "image: small, memory_mib: 64"), ["guest.memory_mib", "64"]),
        (
            SMALL.replace("image: small", "image: small, memory_mib: 128") + "attest: {}\n",
            ["guest.memory_mib", "128", "needs 192"],
        ),
        (SMALL.replace("image: small", "image: tiny"), ["guest.image", "'tiny'", "standard", "small"]),
    ],
)
def test_what_an_image_cannot_do_is_refused_with_its_line(text: str, said: list[str]) -> None:
    with pytest.raises(CampaignError) as caught:
        loads(text, "mine.yml")
    message = str(caught.value)
    assert message.startswith("mine.yml:")
    assert message.count("mine.yml:") == 1
    assert all(word in message for word in said)
