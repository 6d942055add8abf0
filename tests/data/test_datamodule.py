"""From a prepared folder to batches."""

import json

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from pytorch_lightning.trainer.states import TrainerFn

from protcontact.data.datamodule import ContactDataModule, sequence_hashes
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import ChainStore, write_store
from protcontact.data.template_search import TemplateOptions, write_templates
from protcontact.data.templates import Templates
from protcontact.errors import InputError
from protcontact.structure.alphabet import PADDING, decode
from tests.data.chains import random_chain
from tests.data.copying import StandIn


@pytest.fixture
def folder(tmp_path):
    chains = [random_chain(f"c{n:02d}", 20 + 7 * n, seed=n, unresolved=n % 3) for n in range(20)]
    write_store(tmp_path, chains)
    splits = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(tmp_path / "splits.tsv", rows)
    return tmp_path


@pytest.fixture
def data(folder):
    module = ContactDataModule(str(folder), pair_budget=4000, eval_pair_budget=20000, crop_size=40)
    module.setup("fit")
    return module


@pytest.fixture
def small_templates(folder):
    write_templates(folder, TemplateOptions(), StandIn())
    reader = Templates(ChainStore(folder))
    return folder, [reader[row] for row in range(len(reader))]


def test_evaluation_shows_every_chain_whole_and_unchanged(data):
    seen = {}
    for batch in data.val_dataloader():
        for row, name in enumerate(batch.ids):
            length = int(batch.lengths[row])
            seen[name] = (batch.tokens[row, :length], batch.coordinates[row, :length])
            assert batch.mask[row].sum() == length
            assert (batch.tokens[row, length:] == PADDING).all()
            assert torch.equal(batch.index[row, :length], torch.arange(length))
    assert sorted(seen) == ["c12", "c13", "c14", "c15"]
    for name, (tokens, coordinates) in seen.items():
        chain = data.store[data.store.ids.index(name)]
        assert decode(tokens.numpy()) == chain.sequence
        np.testing.assert_array_equal(coordinates.numpy(), chain.coordinates)


def test_training_shows_crops_with_true_indices(data):
    batches = list(data.train_dataloader())
    names = [name for batch in batches for name in batch.ids]
    assert sorted(names) == [f"c{n:02d}" for n in range(12)]
    for batch in batches:
        assert batch.tokens.shape[1] <= 40
        for row, name in enumerate(batch.ids):
            chain = data.store[data.store.ids.index(name)]
            places = batch.index[row][batch.mask[row]].numpy()
            letters = "".join(chain.sequence[place] for place in places)
            assert decode(batch.tokens[row][batch.mask[row]].numpy()) == letters
            assert batch.lengths[row] == len(chain)


def test_crops_change_with_the_epoch_and_repeat_with_the_seed(data):
    def shown(epoch):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return {
            name: tuple(batch.index[row][batch.mask[row]].tolist())
            for batch in loader
            for row, name in enumerate(batch.ids)
        }

    assert shown(0) == shown(0)
    assert shown(0) != shown(1)


def test_workers_give_the_same_batches(folder, data):
    parallel = ContactDataModule(
        str(folder), pair_budget=4000, eval_pair_budget=20000, crop_size=40, workers=1
    )
    parallel.setup("fit")
    for one, other in zip(data.train_dataloader(), parallel.train_dataloader(), strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.tokens, other.tokens)
        assert torch.equal(one.index, other.index)


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_resumes_in_the_middle_of_an_epoch(data, workers):
    data.workers = workers
    whole = [batch.ids for batch in data.train_dataloader()]
    assert len(whole) >= 4
    first = data.train_dataloader()
    running = iter(first)
    given = [next(running).ids for _ in range(2)]
    resumed = data.train_dataloader()
    resumed.load_state_dict(first.state_dict())
    assert given + [batch.ids for batch in resumed] == whole
    assert [batch.ids for batch in resumed] == whole  # the next epoch is whole again


def test_loader_that_finished_starts_afresh(data):
    done = data.train_dataloader()
    whole = [batch.ids for batch in done]
    resumed = data.train_dataloader()
    state = done.state_dict()
    resumed.load_state_dict(state)
    resumed.sampler.set_epoch(1)
    done.sampler.set_epoch(1)
    assert [batch.ids for batch in resumed] == [batch.ids for batch in done] != whole


@pytest.mark.parametrize("given", [3, 4])
def test_an_epoch_ends_where_lightning_stops_it(data, given):
    """Three of four batches leave one; the epoch after it is whole."""
    data.trainer = trainer_of(limit_train_batches=4)
    first, resumed = data.train_dataloader(), data.train_dataloader()
    running = iter(first)
    for _ in range(given):
        next(running)
    assert first.state_dict()["length"] == 4 < len(first)
    resumed.load_state_dict(first.state_dict())
    if given == 4:
        with pytest.raises(InputError, match="validation at the end of an epoch.*restore"):
            next(iter(resumed))
        resumed.load_state_dict(first.state_dict())
        resumed.sampler.set_epoch(1)
    assert len(list(resumed)) == (len(first) if given == 4 else len(first) - 3)


def test_a_share_of_an_epoch(data):
    data.trainer = trainer_of(limit_train_batches=0.5)
    loader = data.train_dataloader()
    assert loader.epoch_length == len(loader) // 2
    assert data.val_dataloader().epoch_length == len(data.val_dataloader())


def test_a_state_without_its_epoch_is_read(data):
    """As it was written before epochs could end early."""
    whole = [batch.ids for batch in data.train_dataloader()]
    for given, left in ((2, whole[2:]), (len(whole), whole)):
        resumed = data.train_dataloader()
        resumed.load_state_dict({"given": given, "length": len(whole)})
        assert [batch.ids for batch in resumed] == left


def test_whole_chains_do_not_depend_on_ranks(data):
    names = [name for batch in data.whole_chains("train") for name in batch.ids]
    assert sorted(names) == [f"c{n:02d}" for n in range(12)]


def test_lightning_leaves_the_sampler_alone(data, tmp_path):
    """Lightning replaces samplers under DDP unless they are distributed already."""
    trainer = Trainer(logger=False, enable_checkpointing=False, default_root_dir=tmp_path)
    loader = data.train_dataloader()
    assert trainer._data_connector._prepare_dataloader(loader, True, "fit") is loader


def test_fingerprint_changes_with_the_split(data, folder):
    before = data.fingerprint
    assert before == data.fingerprint
    text = (folder / "splits.tsv").read_text()
    (folder / "splits.tsv").write_text(text.replace("c00\ttrain", "c00\ttest"))
    assert data.fingerprint != before


def test_sequence_hashes_know_equal_sequences(data):
    train, test = data.sequence_hashes("train"), data.sequence_hashes("test")
    assert len(train) == 12
    assert torch.equal(train, train.sort().values)
    assert not torch.isin(test, train).any()
    data._rows["test"].append(data.rows("train")[0])
    assert torch.isin(data.sequence_hashes("test"), train).sum() == 1
    assert torch.equal(sequence_hashes(["MKV", "AAA", "MKV"]), sequence_hashes(["AAA", "MKV"]))
    assert sequence_hashes([]).dtype == torch.int64


def test_loader_refuses_to_go_on_with_other_batches(data):
    loader = data.train_dataloader()
    with pytest.raises(InputError, match="cannot go on in its middle"):
        loader.load_state_dict({"given": 1, "length": len(loader) + 1})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"pair_budget": 5000}, "--data.pair_budget 4000"),
        ({"crop_size": 30}, "--data.crop_size 40"),
        ({"far_crops": 0.5}, "--data.far_crops 0.2"),
        ({"seed": 1}, "--seed_everything 0"),
        ({"templates_per_chain": 2}, "--data.templates_per_chain 0"),
    ],
)
def test_a_training_goes_on_with_what_it_was_started_with(data, folder, change, named):
    same = {"pair_budget": 4000, "crop_size": 40}
    fitting = trainer_of()
    fitting.state.fn = TrainerFn.FITTING
    again = ContactDataModule(str(folder), **same, eval_pair_budget=9, workers=1, length_multiple=8)
    again.trainer = fitting
    again.load_state_dict(data.state_dict())  # none of these decides what a step sees
    other = ContactDataModule(str(folder), **same | change)
    other.trainer = fitting
    with pytest.raises(InputError, match=f"started with {named} and is to go on with"):
        other.load_state_dict(data.state_dict())
    fitting.state.fn = TrainerFn.TESTING
    other.load_state_dict(data.state_dict())  # a score may be of other settings


@pytest.mark.parametrize(
    "change", [{"pair_budget": 0}, {"crop_size": 0}, {"far_crops": 1.5}, {"workers": -1}]
)
def test_refuses_settings(folder, change):
    with pytest.raises(ValueError, match="must"):
        ContactDataModule(str(folder), **change)


def test_refuses_a_folder_that_was_not_split(folder):
    (folder / "splits.tsv").unlink()
    with pytest.raises(InputError, match="protcontact split"):
        ContactDataModule(str(folder)).setup("fit")


def test_refuses_splits_of_another_data_set(folder):
    text = (folder / "splits.tsv").read_text().splitlines()
    (folder / "splits.tsv").write_text("\n".join(text[:-1]) + "\n")
    with pytest.raises(InputError, match="in no split"):
        ContactDataModule(str(folder)).setup("fit")


def test_refuses_an_empty_split(folder):
    text = (folder / "splits.tsv").read_text().replace("\ttest\t", "\ttrain\t")
    (folder / "splits.tsv").write_text(text)
    module = ContactDataModule(str(folder))
    module.setup("fit")
    with pytest.raises(InputError, match="test split"):
        module.test_dataloader()


def test_refuses_a_split_that_was_made_before_a_chain_changed(folder, tmp_path):
    """A chain corrected in place keeps its id, so the old splits.tsv still names every chain."""
    facts = {"min_identity": 0.3, "coverage": 0.8, "data": ChainStore(folder).fingerprint}
    (folder / "split.json").write_text(json.dumps(facts))
    ContactDataModule(str(folder)).setup("fit")
    chains = list(ChainStore(folder))
    chains[3] = random_chain(chains[3].id, len(chains[3]), seed=99)
    write_store(folder, chains)
    with pytest.raises(InputError, match="have changed since .* run `protcontact split .* again"):
        ContactDataModule(str(folder)).setup("fit")
    (folder / "split.json").unlink()  # then the split is the user's own
    ContactDataModule(str(folder)).setup("fit")


def test_batches_are_padded_to_multiples(folder):
    plain, padded = (ContactDataModule(str(folder), length_multiple=n) for n in (1, 8))
    for one in (plain, padded):
        one.setup("fit")
    sizes = set()
    for short, long in zip(plain.train_dataloader(), padded.train_dataloader(), strict=True):
        L = short.tokens.shape[1]
        sizes.add(L % 8)
        assert long.tokens.shape[1] == L + -L % 8
        assert not long.mask[:, L:].any()
        assert torch.equal(long.tokens[:, :L], short.tokens)
        assert torch.equal(long.index[:, :L], short.index)
    assert sizes != {0}  # or nothing was padded
    with pytest.raises(ValueError, match="length_multiple must be >= 1"):
        ContactDataModule(str(folder), length_multiple=0)


def trainer_of(**settings):
    quiet = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
    return Trainer(**quiet, devices=1, **settings)


def test_batches_are_planned_in_the_steps_of_the_trainer(data):
    data.trainer = trainer_of(accumulate_grad_batches=3)
    loader = data.loader("train", training=True)
    assert loader.sampler.accumulate == 3
    assert len(loader) % 3 == 0
    assert data.loader("val").sampler.accumulate == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"callbacks": [GradientAccumulationScheduler({0: 1, 2: 4})]}, "planned in steps"),
        ({"accumulate_grad_batches": 2, "val_check_interval": 5}, "interval 5 .* use 6"),
        ({"accumulate_grad_batches": 2, "limit_train_batches": 3}, "batches 3 .* use 4"),
        (
            {"accumulate_grad_batches": 2, "val_check_interval": 0.99},
            "interval 0.99 .* of the 2 of",
        ),
    ],
)
def test_steps_that_are_not_planned_are_refused(data, settings, message):
    data.trainer = trainer_of(**settings)
    with pytest.raises(InputError, match=message):
        data.loader("train", training=True)


def test_an_epoch_does_not_go_on_with_other_steps(data):
    data.trainer = trainer_of(accumulate_grad_batches=2)
    state = data.loader("train", training=True).state_dict()
    data.loader("train", training=True).load_state_dict(state)
    data.trainer = trainer_of()
    with pytest.raises(InputError, match="on 1 processes with 2 batches per step each"):
        data.loader("train", training=True).load_state_dict(state)


def test_templates_are_shown_with_their_chains(small_templates):
    folder, found = small_templates
    module = ContactDataModule(str(folder), pair_budget=4000, crop_size=20, templates_per_chain=2)
    module.setup("fit")
    seen = 0
    for batch in module.train_dataloader():
        assert batch.templates.coordinates.shape[:2] == (len(batch), 2)
        for place, name in enumerate(batch.ids):
            row = module.store.ids.index(name)
            expected = found[row][:2]
            assert batch.templates.evalues[place].isfinite().sum() == len(expected)
            for number, template in enumerate(expected):
                whole = np.full((module.store.lengths[row], 3), np.nan, dtype=np.float32)
                known = module.store.arrays(template.row)[1]
                whole[template.query_index] = known[template.target_index]
                shown = int(batch.mask[place].sum())
                places = batch.templates.coordinates[place, number]
                np.testing.assert_array_equal(
                    places[:shown], whole[batch.index[place, :shown].numpy()]
                )
                assert places[shown:].isnan().all()
                seen += 1
    assert seen > 0
    assert module.whole_chain(0).templates is not None


def test_without_being_asked_no_templates_are_shown(small_templates):
    module = ContactDataModule(str(small_templates[0]))
    module.setup("fit")
    assert module.whole_chain(0).templates is None


def test_templates_that_are_not_there_are_asked_for(folder):
    module = ContactDataModule(str(folder), templates_per_chain=2)
    with pytest.raises(InputError, match="protcontact templates"):
        module.setup("fit")


def test_more_templates_than_were_kept_are_asked_for(small_templates):
    folder = small_templates[0]
    kept = Templates(ChainStore(folder)).facts["per_chain"]
    ContactDataModule(str(folder), templates_per_chain=kept).setup("fit")
    with pytest.raises(InputError, match=f"at most {kept} templates .* --per-chain {kept + 1}"):
        ContactDataModule(str(folder), templates_per_chain=kept + 1).setup("fit")


def test_templates_cannot_be_fewer_than_none():
    with pytest.raises(ValueError, match="templates_per_chain must be >= 0"):
        ContactDataModule(templates_per_chain=-1)
