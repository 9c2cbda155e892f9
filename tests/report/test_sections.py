from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.evidence.account import accounts
from harness.evidence.events import AttemptFinished, AttemptStarted, GuestStarted, WorkloadStarted
from harness.evidence.journal import Event
from harness.json_types import Json
from harness.report import compose, provenance, validity
from harness.report.document.model import MISSING, Answer, Block, Callout, Code, Document, Paragraph, Table
from harness.report.material import Material
from harness.report.migration import answers, moves, service
from tests.report import unpainted
from tests.synthetic.vocabulary import changed


def said(blocks: Sequence[Block]) -> str:
    """The running text of the blocks."""
    return "\n".join(block.text for block in blocks if isinstance(block, (Answer, Callout, Paragraph)))


def with_values(demo: Material, metric: str, value: float | None, workload: str = "file") -> Material:
    """The demo with one metric of one workload set to `value`."""
    table = demo.metrics.copy()
    mine = (table["metric"] == metric) & (table["workload"] == workload)
    table.loc[mine, "value"] = value
    table.loc[mine, "reason"] = None if value is not None else "the sampler had no room"
    return replace(demo, metrics=table)


@pytest.mark.parametrize(
    ("rig", "accelerator", "banner"),
    [
        ("lab", "tcg", "lab, TCG (emulated CPU): not comparable in absolute terms with hardware"),
        ("lab", "kvm", "lab, KVM: both hosts share one machine"),
        ("pair", "kvm", "pair, KVM"),
    ],
)
def test_the_banner_names_rig_and_accelerator(
    demo: Material, rig: str, accelerator: str, banner: str
) -> None:
    attempts = [changed(one, GuestStarted, accelerator=accelerator) for one in demo.attempts]
    material = replace(demo, attempts=attempts, manifest={**demo.manifest, "rig": rig})
    assert answers.banner(material) == banner


def test_the_banner_warns_when_only_some_guests_were_emulated(demo: Material) -> None:
    first, *rest = demo.attempts
    mixed = [changed(first, GuestStarted, accelerator="kvm"), *rest]
    assert "in part: not comparable" in answers.banner(replace(demo, attempts=mixed))


def test_each_workload_has_its_answer_in_the_papers_order(demo: Material) -> None:
    found = [block for block in answers.sentences(demo) if isinstance(block, Answer)]
    assert [one.subject for one in found] == ["file", "idle"]
    assert "took 3.20\u00a0s (mean of 5 migrations in 1 trial)" in found[0].text
    assert "stood still for 240\u00a0ms" in found[0].text
    assert "The paper: 7.2\u00a0s, 250\u00a0ms, 697.87\u00a0MB." in found[0].text
    assert "stalled" not in found[1].text


def test_a_mean_over_fewer_migrations_says_so(demo: Material) -> None:
    table = demo.metrics.copy()
    first = (table["metric"] == "wire_bytes") & (table["workload"] == "idle") & (table["migration"] == 1)
    table.loc[first, "value"] = None
    table.loc[first, "reason"] = "the counter went away"
    (idle,) = [row for row in answers.table_v(replace(demo, metrics=table)).rows if row[0].text == "idle"]
    assert idle[-1].reason == "n = 4: the counter went away"


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        (True, "yes"),
        (False, "no"),
        ({"pre-copy": True, "plain": False, "post-copy": True}, "yes: pre-copy, post-copy; no: plain"),
    ],
)
def test_provenance_says_which_migrations_were_encrypted(demo: Material, recorded: Json, shown: str) -> None:
    material = replace(demo, manifest={**demo.manifest, "migration_tls": recorded})
    (table, *_) = [one for one in provenance.blocks(material) if isinstance(one, Table)]
    assert [row[1].text for row in table.rows if row[0].text == "Migrations encrypted (TLS)"] == [shown]


def test_a_workload_the_paper_does_not_have_is_listed_last(demo: Material) -> None:
    renamed = demo.metrics.copy()
    renamed["workload"] = renamed["workload"].replace("file", "batch")
    attempts = [
        changed(one, AttemptStarted, workload="batch") if one.workload == "file" else one
        for one in demo.attempts
    ]
    table = answers.table_v(replace(demo, metrics=renamed, attempts=attempts))
    assert [row[0].text for row in table.rows][-1] == "batch"
    assert table.rows[-1][4].reason == "the paper has no such workload"


def test_wire_and_hypervisor_that_agree_are_said_to(demo: Material) -> None:
    text = said(validity.blocks(demo))
    assert "agree within 3\u00a0%: ratio 1.020 to 1.020 in 10 migrations" in text


def test_wire_and_hypervisor_that_disagree_are_warned_of_by_trial(demo: Material) -> None:
    text = said(validity.blocks(with_values(demo, "wire_ratio", 1.09)))
    assert "in 5 of 10 migrations (ratio 1.020 to 1.090): 002-file no. 1" in text


def test_a_ratio_that_is_missing_everywhere_is_said_to_be(demo: Material) -> None:
    material = with_values(with_values(demo, "wire_ratio", None), "wire_ratio", None, "idle")
    assert "could not be compared" in said(validity.blocks(material))


def test_a_substituted_generator_is_named_with_its_version(demo: Material) -> None:
    other = changed(demo.attempts[0], WorkloadStarted, generator="wrk", version="4.1.0", substitutes="Faban")
    text = said(validity.blocks(replace(demo, attempts=[other])))
    assert "wrk 4.1.0 stands in for the paper's Faban" in text


def test_first_migrations_after_boot_are_counted_and_set_apart(demo: Material) -> None:
    text = said(validity.blocks(demo))
    assert "2 of 10 counted migrations were the first after their guest's boot" in text
    assert "file 3.25\u00a0s" in text


def test_rows_of_attempts_that_do_not_count_are_grey_and_marked(demo: Material) -> None:
    attempts = [
        changed(one, AttemptFinished, verdict="invalid", reasons=["the clock stepped"])
        for one in demo.attempts
    ]
    table = moves.table(replace(demo, attempts=attempts))
    assert {cell.tone for row in table.rows for cell in row} == {"quiet"}
    assert table.rows[0][-1].text == "completed, invalid"
    assert table.rows[0][-1].reason == "the clock stepped"


def test_an_invalid_trial_is_listed_with_its_cause_and_the_rest_on_lines_of_its_own(demo: Material) -> None:
    first, *others = demo.attempts
    reasons = ["the clock stepped", "by 3 s", "at 12:00"]
    blocks = validity.blocks(
        replace(demo, attempts=[changed(first, AttemptFinished, verdict="invalid", reasons=reasons), *others])
    )
    (trials,) = [block for block in blocks if isinstance(block, Table) and block.key == "trials"]
    assert trials.rows[0][-1].text == "the clock stepped"
    (further,) = [block for block in blocks if isinstance(block, Code)]
    assert further.text.splitlines()[0].endswith(": the clock stepped")
    assert further.text.splitlines()[1:] == ["  by 3 s", "  at 12:00"]


def test_work_is_shown_in_the_workloads_own_unit(demo: Material) -> None:
    table = moves.circumstances(demo)
    units = {row[3].text for row in table.rows}
    assert units == {MISSING, "operations"}


def test_hosts_that_differ_are_named_by_the_fact(demo: Material) -> None:
    facts = {"machine": "b", "kernel": "5.15"}
    material = replace(demo, machines={**demo.machines, ("b", "before"): facts})
    text = said(provenance.blocks(material))
    assert "The two hosts differ in: kernel." in text
    assert "Changed during the run: b (kernel)." in text


def test_hosts_that_are_alike_and_did_not_change_are_said_to_be(demo: Material) -> None:
    text = said(provenance.blocks(demo))
    assert "The recorded facts of the two hosts are the same." in text
    assert "No recorded fact changed during the run." in text


def test_without_stored_facts_nothing_is_claimed(demo: Material) -> None:
    text = said(provenance.blocks(replace(demo, machines={})))
    assert "No facts of the machines were stored" in text
    assert "same" not in text


def test_what_the_numbers_stand_on_is_told_for_each_trial(demo: Material) -> None:
    tables = {block.key: block for block in validity.blocks(demo) if isinstance(block, Table)}
    first = [cell.text for cell in tables["conditions"].rows[0]]
    assert first[:2] == ["001-idle", "1"]
    assert first[5] == "0.03"


def test_a_run_that_did_not_end_is_said_to(demo: Material) -> None:
    assert "run did not end" in said(answers.about(replace(demo, finished=False)))


def test_every_table_has_as_many_cells_as_columns(shown: Document) -> None:
    blocks = [block for section in shown.sections for block in section.blocks]
    tables = [block for block in blocks if isinstance(block, Table)]
    assert len(tables) >= 8
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert sum(width for _, width in table.groups) in {0, len(table.columns)}


def on(demo: Material, machine: str, **facts: str) -> Material:
    """The demo under KVM on a pair, of whose machine these facts were read."""
    attempts = [changed(one, GuestStarted, accelerator="kvm") for one in demo.attempts]
    known = {**demo.machines.get((machine, "before"), {}), **facts}
    machines = {**demo.machines, (machine, "before"): known}
    return replace(demo, attempts=attempts, manifest={**demo.manifest, "rig": "pair"}, machines=machines)


@pytest.mark.parametrize(
    ("facts", "said_of_it"),
    [
        ({"virtualization": "qemu", "cpu_model": "QEMU TCG CPU version 2.5+"}, "itself emulated"),
        ({"cpu_model": "QEMU TCG CPU version 2.5+"}, "itself emulated"),
        ({"virtualization": "kvm", "cpu_model": "AMD EPYC"}, "a virtual machine (kvm): its KVM is nested"),
    ],
)
def test_a_kvm_that_is_emulated_or_nested_is_said_to_be(
    demo: Material, facts: dict[str, str], said_of_it: str
) -> None:
    assert said_of_it in answers.banner(on(demo, "b", **facts))
    assert "host b" in answers.banner(on(demo, "b", **facts))


@pytest.mark.parametrize("below", ["none", "systemd-nspawn", "docker"])
def test_hardware_and_containers_are_not(demo: Material, below: str) -> None:
    assert answers.banner(on(demo, "b", virtualization=below, cpu_model="AMD EPYC")) == "pair, KVM"


@pytest.mark.parametrize("reading", ["chrony_offset_s", "storage_free_bytes"])
def test_a_reading_of_a_moment_does_not_make_two_hosts_differ(demo: Material, reading: str) -> None:
    material = on(on(demo, "a", **{reading: "1.5"}), "b", **{reading: "2.5"})
    assert "The recorded facts of the two hosts are the same." in said(provenance.blocks(material))


def test_thousands_of_reasons_of_an_attempt_do_not_fill_the_report(demo: Material) -> None:
    told = [f"dbench said: [{number}] write failed" for number in range(20_000)]
    ended = Event(
        seq=1, t_ns=2, observer="runner", kind="attempt.finished", trial="001-file", attempt=1,
        data={"verdict": "invalid", "reasons": told},
    )  # fmt: skip
    (attempt,) = accounts([ended])
    assert sum(map(len, attempt.reasons)) < 10_000
    assert "19989 more" in attempt.reasons[-1]
    assert moves.table(replace(demo, attempts=[attempt])).rows == []


def test_other_gaps_have_columns_of_their_own(demo: Material) -> None:
    (table,) = [
        block for block in service.blocks(demo) if isinstance(block, Table) and block.key == "service"
    ]
    heads = [column.flat for column in table.columns]
    (file,) = [row for row in table.rows if row[0].text == "file"]
    assert file[heads.index("Other gap, ms: network")].text == "5"
    assert file[heads.index("Other gap, ms: application")].text == "0"


@pytest.mark.parametrize(
    ("with_s", "without_s", "said"),
    [
        (
            1.0,
            0.2,
            "more work lost with a migration than in equal time without: 1.00\u00a0s against 0.20\u00a0s",
        ),
        (
            -0.6,
            2.0,
            "less work lost with a migration than in equal time without: −0.60\u00a0s against 2.00\u00a0s",
        ),
        (0.001, 0.002, "as much work lost with a migration as in equal time without"),
    ],
)
def test_a_timeline_says_what_was_lost_against_trials_without_a_migration(
    seven: Material, with_s: float, without_s: float, said: str
) -> None:
    table = seven.metrics.copy()
    mine = table["workload"].eq("db") & table["metric"].eq("work_lost_time") & table["migration"].notna()
    table.loc[mine, "value"] = with_s
    table.loc[mine & table["kind"].eq("control"), "value"] = without_s
    with unpainted.figures():
        found = compose.document(replace(seven, metrics=table, attempts=seven.attempts))
    (figure,) = [one for one in found.figures if one.key == "timeline-db"]
    assert said in figure.title
