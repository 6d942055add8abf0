"""A suite from end to end with a runner that trains nothing: finished, failed, resumed, mixed."""

import csv
import json
import os
import shutil
import time

import pytest

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splits import TEMPLATES
from protcontact.data.template_search import TemplateOptions, write_templates
from protcontact.errors import InputError
from protcontact.models.heads.template_resnet import TemplateResNet
from protcontact.report import suite_compare
from protcontact.report.suite import read_suite
from protcontact.report.suite_compare import compare, machine, packages
from protcontact.report.suite_runs import note_of
from protcontact.report.suite_scores import bins_of, score_model, write_scores
from protcontact.report.suite_tables import COPY
from protcontact.training.checkpoint import load_model
from tests.data.copying import StandIn, write_first_chain
from tests.report.suites import Own, Pretender, Stumbling, write_data, write_suite

RUNS = ["one/seed_0", "one/seed_1", "two/seed_0", "two/seed_1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("suite") / "data")


@pytest.fixture(autouse=True)
def no_figure(monkeypatch):
    """Drawn once, in test_suite_files."""
    monkeypatch.setattr("protcontact.report.suite_files.panels_png", lambda panels: b"")


def lines(file):
    with file.open() as opened:
        return list(csv.DictReader(opened))


def go(tmp_path, data, runner, jobs=1, **changes):
    suite = read_suite(write_suite(tmp_path, **changes))
    (tmp_path / "out").mkdir(exist_ok=True)
    return compare(suite, data, tmp_path / "out", jobs, runner)


def test_every_run_is_made_once_with_its_share_of_compute(tmp_path, data):
    runner = Pretender(data)
    result = go(tmp_path, data, runner)
    assert runner.calls[:2] == ["one/measure", "two/measure"]
    # seed by seed, so that each config has a result soon
    assert runner.calls[2:] == ["one/seed_0", "two/seed_0", "one/seed_1", "two/seed_1"]
    assert result.failures == [] and result.warnings == []
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert [plan["entries"][name]["steps"] for name in ("one", "two")] == [20, 40]
    rows = lines(tmp_path / "out" / "runs.csv")
    assert [row["status"] for row in rows] == ["finished"] * 4
    assert [row["step_seconds"] for row in rows] == ["10.0"] * 4
    assert all(0 <= float(row["long/P@L"]) <= 1 for row in rows)
    assert (tmp_path / "out" / "table.md").read_text() == result.table
    for row in rows:
        assert 1 <= float(row["reach"]) <= 54


def test_a_finished_run_is_not_repeated_and_gives_the_same_table(tmp_path, data):
    first = go(tmp_path, data, Pretender(data))
    again = Pretender(data)
    assert go(tmp_path, data, again).table == first.table
    assert again.calls == []
    further = Pretender(data)
    result = go(tmp_path, data, further, seeds=[0, 1, 2])
    assert further.calls == ["one/seed_2", "two/seed_2"]
    assert "6 runs, seeds 0, 1, 2" in result.table


def test_templates_that_come_later_add_a_null(tmp_path):
    data = write_data(tmp_path / "data")
    first = go(tmp_path, data, Pretender(data))
    assert COPY not in first.table and not (tmp_path / "out" / "copy.csv").exists()
    write_first_chain(data)
    again = Pretender(data)
    assert f"| {COPY} |" in go(tmp_path, data, again).table and again.calls == []
    ids = [row["id"] for row in lines(tmp_path / "out" / "copy.csv")]
    assert ids == [row["id"] for row in lines(tmp_path / "out" / "null.csv")]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (1, "protcontact fit ended with status 1"),
        (-9, "protcontact fit was ended by SIGKILL, as a system out of memory does"),
        (-15, "protcontact fit was ended by SIGTERM"),
        ("no cost", "it ended without a training"),
        ("nan", "elements that are NaN or infinite"),
    ],
)
def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path, data, fault, reason):
    result = go(tmp_path, data, Pretender(data, one_seed_1=fault), seeds=[0, 1])
    (failure,) = result.failures
    assert failure.run.label == "one/seed_1" and reason in failure.reason
    assert failure.said.startswith("line 19") and failure.said.endswith("last words")
    rows = {(row["config"], row["seed"]): row for row in lines(tmp_path / "out" / "runs.csv")}
    assert rows["one", "1"]["status"] == "failed" and reason in rows["one", "1"]["reason"]
    assert rows["one", "1"]["long/P@L"] == ""
    assert sum(row["status"] == "finished" for row in rows.values()) == 3


def test_a_failed_run_is_made_again(tmp_path, data):
    assert len(go(tmp_path, data, Pretender(data, one_seed_1=1)).failures) == 1
    again = Pretender(data)
    assert go(tmp_path, data, again).failures == []
    assert again.calls == ["one/seed_1"]


def test_own_classes_are_built_again_however_a_config_names_them(tmp_path, data):
    (tmp_path / "out").mkdir()
    suite = read_suite(write_suite(tmp_path, seeds=[0]))
    (tmp_path / "one.yaml").write_text("model: {encoder: tests.report.suites.Own}\n")
    result = compare(suite, data, tmp_path / "out", 1, Pretender(data, encoder=Own))
    assert result.failures == [] and "| one |" in result.table


def test_packages_of_a_checkpoint():
    inner = {"class_path": "mine.parts.Windows", "init_args": {"channels": 3}}
    head = {"class_path": "yours.Mean", "init_args": {"heads": [inner]}}
    assert packages({"encoder": inner, "head": head, "prior": {"a": None}}) == ["mine", "yours"]


def test_a_run_that_fails_where_it_is_scored_does_not_end_the_others(tmp_path, data):
    """Of whatever error: the class may be the user's."""
    result = go(tmp_path, data, Pretender(data, encoder=Stumbling))
    assert len(result.failures) == 4 and result.finished == 0
    assert "RuntimeError where it was scored: out of memory" in result.failures[0].reason
    assert 'raise RuntimeError("out of memory")' in result.failures[0].said
    assert note_of(tmp_path / "out" / "one" / "seed_0")["status"] == "failed"


def test_a_head_that_looks_at_templates_is_scored_with_those_of_its_training(tmp_path, data):
    own = tmp_path / "data"
    shutil.copytree(data, own)
    write_first_chain(own)
    runner = Pretender(own, head=TemplateResNet, shown=1)
    assert go(tmp_path, own, runner, seeds=[0]).failures == []
    run = tmp_path / "out" / "one" / "seed_0"
    model = load_model(run / "last.ckpt")
    scores = []
    for shown in (0, 1):
        module = ContactDataModule(str(own), templates_per_chain=shown)
        module.setup("test")
        rows = score_model(model, module.whole_chains("test"), bins_of(module, "test"))
        write_scores(tmp_path / "again.csv", rows)
        scores.append((tmp_path / "again.csv").read_text())
    assert scores[0] != (run / "chains.csv").read_text() == scores[1]


def test_a_head_that_looks_at_templates_is_not_scored_blind(tmp_path, data):
    result = go(tmp_path, data, Pretender(data, head=TemplateResNet), seeds=[0])
    assert len(result.failures) == 2
    assert "one.yaml shows none: set data.templates_per_chain" in result.failures[0].reason


def test_a_config_that_cannot_be_measured_is_left_out(tmp_path, data):
    runner = Pretender(data, two_measure=2)
    result = go(tmp_path, data, runner)
    assert [failure.run.label for failure in result.failures] == ["two/measure"]
    assert [call for call in runner.calls if call.startswith("two")] == ["two/measure"]
    assert "| one |" in result.table and "| two |" not in result.table


def test_nothing_at_all(tmp_path, data):
    result = go(tmp_path, data, Pretender(data, one_measure=2, two_measure=2))
    assert result.table == "no run is finished" and len(result.failures) == 2


def test_two_at_a_time_give_the_same(tmp_path, data):
    one, two = tmp_path / "a", tmp_path / "b"
    one.mkdir()
    two.mkdir()
    tables = [go(one, data, Pretender(data)).table, go(two, data, Pretender(data), jobs=2).table]
    assert tables[0] == tables[1]


def test_runs_are_scored_one_after_the_other(tmp_path, data, monkeypatch):
    """What is measured switches settings of the whole process, as whether cuDNN is used."""
    inside, most = [], []

    def reach(model, chains):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return 1.0

    monkeypatch.setattr(suite_compare, "encoder_reach", reach)
    assert go(tmp_path, data, Pretender(data), jobs=2).failures == []
    assert most == [1] * len(most) and len(most) > 1


def test_ctrl_c_ends_what_runs_and_keeps_what_is_finished(tmp_path, data):
    runner = Pretender(data, one_seed_1=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, data, runner)
    assert runner.stopped
    again = Pretender(data)
    assert go(tmp_path, data, again).failures == []
    done = {call for call in runner.calls if "seed" in call} - {"one/seed_1"}
    assert "one/seed_0" in done and not set(again.calls) & done
    assert set(again.calls) | done == set(RUNS)


def test_other_data_are_not_mixed_in(tmp_path, data):
    go(tmp_path, data, Pretender(data))
    (tmp_path / "new").mkdir()
    other = write_data(tmp_path / "new" / "data")
    text = (other / "splits.tsv").read_text().replace("c3\ttest", "c3\tval")
    (other / "splits.tsv").write_text(text)
    runner = Pretender(other)
    with pytest.raises(InputError, match="holds a suite with data"):
        go(tmp_path, other, runner)
    assert runner.calls == []


def test_scores_that_somebody_removed(tmp_path, data):
    go(tmp_path, data, Pretender(data))
    (tmp_path / "out" / "one" / "seed_0" / "chains.csv").unlink()
    with pytest.raises(InputError, match="chains.csv is missing; remove .*seed_0"):
        go(tmp_path, data, Pretender(data))


def test_the_machine_is_named():
    about = machine("cpu")
    assert about["device_name"] and about["cores"] >= 1 and about["torch"][0].isdigit()


def test_what_was_trained_and_not_scored_is_not_trained_again(tmp_path, data):
    assert go(tmp_path, data, Pretender(data)).failures == []
    table = (tmp_path / "out" / "table.md").read_text()
    for name in ("run.json", "chains.csv"):
        (tmp_path / "out" / "two" / "seed_1" / name).unlink()
    again = Pretender(data)
    assert go(tmp_path, data, again).table == table and again.calls == []


def test_scores_of_other_templates_are_not_mixed_in(tmp_path, data):
    own = tmp_path / "data"
    shutil.copytree(data, own)
    write_first_chain(own)
    assert go(tmp_path, own, Pretender(own, head=TemplateResNet, shown=1), seeds=[0]).failures == []
    before = (own / TEMPLATES).read_bytes()
    write_templates(own, TemplateOptions(evalue=0.5), StandIn())
    again = Pretender(own, head=TemplateResNet, shown=1)
    with pytest.raises(InputError, match="seed_0 was scored with other templates"):
        go(tmp_path, own, again, seeds=[0, 1])
    assert again.calls == []
    (own / TEMPLATES).write_bytes(before)
    assert go(tmp_path, own, again, seeds=[0, 1]).failures == []


def test_the_copy_is_that_of_the_templates_that_there_are(tmp_path, data):
    own = tmp_path / "data"
    shutil.copytree(data, own)
    write_first_chain(own)
    go(tmp_path, own, Pretender(own), seeds=[0])
    copied = tmp_path / "out" / "copy.csv"
    before = copied.read_text()
    copied.write_text(before.replace("0.", "1.", 1))
    go(tmp_path, own, Pretender(own), seeds=[0])
    assert copied.read_text() != before  # newer than the templates
    os.utime(copied, (0, 0))
    go(tmp_path, own, Pretender(own), seeds=[0])
    assert copied.read_text() == before
