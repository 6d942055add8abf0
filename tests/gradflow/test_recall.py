"""The recall task: what is asked can be told from the first letter alone, and from nothing else."""

import torch
from torch import nn

from protcontact.gradflow.recall import LETTERS, Reader, Task, accuracy, train


def test_the_answer_stands_at_the_beginning_and_nowhere_else():
    torch.manual_seed(0)
    task = Task(kinds=3, shortest=2, longest=5, chains=500)
    lengths = set()
    for _ in range(40):
        letters, truth = task.draw()
        lengths.add(letters.shape[1])
        assert torch.equal(letters[:, 0], truth)
        assert set(truth.tolist()) == {0, 1, 2}
        assert int(letters[:, 1:].min()) >= 3 and int(letters.max()) < LETTERS
    assert lengths == {2, 3, 4, 5}
    assert task.draw(9)[0].shape == (500, 9)


def test_an_lstm_learns_it_and_what_sees_only_the_last_residue_does_not():
    task = Task(longest=6)
    right = {}
    for kind in (lambda: nn.LSTM(16, 16, batch_first=True), nn.Identity):
        torch.manual_seed(0)
        reader = Reader(kind(), 16, task.kinds)
        train(reader, task, 200)
        right[type(reader.network)] = accuracy(reader, task, 6)
    assert right[nn.LSTM] > 0.95
    assert right[nn.Identity] < 0.4
