"""A training is a value: it makes the steps of the plain loop, however it is streamed, probed, raced, interrupted and resumed."""

import copy
import math
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_nets_data import SHARED, needs_mnist

import nets.data
import nets.descent
import nets.models
import nets.optimisers
import nets.race
import nets.training
from nets import checkpoint
from nets.data import MNIST, Digits, LinearTeacher, Regression, permutation
from nets.descent import Descent
from nets.fisher import FisherNGD
from nets.kaldi import OnlineNGD
from nets.kfac import KFAC
from nets.losses import LOSSES
from nets.matching import at_loss, matched
from nets.models import DLN, MLP, LeNet5, MinimallySingular, SmallCNN
from nets.optimisers import SGD, Adam, Diverged
from nets.race import Race
from nets.training import Training, Watch, score

BASE = Training(
    Digits(size=200, test=50), MLP((64, 12, 10)), SGD(lr=0.05, momentum=0.9, nesterov=True), epochs=3, batch=32, seed=2
)  # 7 steps an epoch
LINEAR = replace(BASE, model=MLP((64, 12, 10), activation="linear"))  # ReLU units would die of a large step, and stay finite
HUGE = SGD(lr=1e4)
OPTIMISERS = (BASE.optimiser, SGD(lr=0.1), Adam(), FisherNGD(lr=0.1, momentum=0.5), KFAC(lr=0.05, momentum=0.5, every=2, refresh=3), OnlineNGD())


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def end(frames):
    """The last weights of a stream."""
    for frame in frames:
        last = frame
    return weights(last.model)


def numbers(frame):
    """All of a frame that does not depend on the clock; NaN as text, so that it equals itself."""
    return repr(frame[:-2])


def name(value):
    return type(value).__name__ + ("" if value != BASE.optimiser else "-nesterov")


# The steps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_training_makes_bit_for_bit_the_steps_of_a_plain_torch_loop(dtype):
    run = replace(BASE, dtype=dtype)
    x, y = run.data.load()[:2]
    model, kind = run.model.build(2), getattr(torch, dtype)
    model, x = model.to(kind), x.to(kind)
    optimiser, losses = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True), []
    for epoch in range(3):
        for batch in permutation(200, 2, epoch).split(32):
            loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    frames = list(run.stream(every=1))
    assert torch.equal(weights(frames[-1].model), weights(model))
    np.testing.assert_allclose([frame.loss for frame in frames[1:]], losses, rtol=1e-6)


@pytest.mark.parametrize("every", [1, 3, 10**6])
def test_streaming_more_or_less_often_changes_no_step_and_frames_are_where_they_should_be(every):
    frames = [(f.step, f.epoch, f.train, f.test) for f in BASE.stream(every)]
    expected = {1: range(22), 3: (0, 3, 6, 7, 10, 13, 14, 17, 20, 21), 10**6: (0, 7, 14, 21)}[every]
    assert [step for step, *_ in frames] == list(expected) and [epoch for _, epoch, *_ in frames] == [step / 7 for step in expected]
    assert {step for step, _, train, test in frames if train and test} >= {0, 7, 14, 21}
    assert torch.equal(end(BASE.stream(every)), end(BASE.stream()))


def test_within_an_epoch_scores_are_taken_as_often_as_they_are_cheap():
    run = replace(BASE, scored=3, batch=2, epochs=1)  # 6 of 3 + 3 samples, every 4 x 6 / 2 = 12 steps
    assert [frame.step for frame in run.stream(every=4) if frame.train] == [*range(0, 100, 12), 100]


def test_a_frames_numbers_are_means_over_the_steps_since_the_last_and_scores_those_of_the_whole_set():
    each = list(BASE.stream(every=1))
    for frame in BASE.stream(every=3):
        if frame.step:
            past = max(s for s in (0, 3, 6, 7, 10, 13, 14, 17, 20) if s < frame.step)
            steps = each[past + 1 : frame.step + 1]
            for field in ("loss", "norm", "cosine"):
                assert getattr(frame, field) == pytest.approx(np.mean([getattr(step, field) for step in steps]), rel=1e-12)
        else:
            assert math.isnan(frame.loss) and math.isnan(frame.norm) and math.isnan(frame.seconds_left)
        if frame.train:
            for x, y, found in ((*BASE.data.load()[:2], frame.train), (*BASE.data.load()[2:], frame.test)):
                output = torch.stack([frame.model(sample[None])[0] for sample in x]).double()
                assert found.loss == pytest.approx((output.logsumexp(1) - output[torch.arange(len(y)), y]).mean().item(), rel=1e-6)
                assert found.accuracy == np.mean(output.argmax(1).numpy() == y.numpy())


def test_the_length_of_an_update_is_how_far_the_weights_moved():
    before = None
    for frame in BASE.stream(every=1):
        now = weights(frame.model)
        if before is not None:
            assert frame.norm == pytest.approx((now - before).norm().item(), rel=1e-3)  # float32 weights of size 0.1, steps of 0.01
        before = now


def test_only_the_first_samples_are_scored_where_that_is_asked_and_targets_have_no_accuracy():
    model, (x, y) = BASE.model.build(0), BASE.data.load()[:2]
    loss = LOSSES["cross_entropy"]
    assert score(model, loss, x, y, 37) == pytest.approx(score(model, loss, x[:37], y[:37]), rel=1e-12)
    assert score(model, loss, x, y, 10**6) == score(model, loss, x, y)
    data = LinearTeacher(size=5000).load()
    found = score(DLN((5, 5)).build(0), LOSSES["mse"], *data[:2])
    assert math.isnan(found.accuracy)
    assert found.loss == pytest.approx((DLN((5, 5)).build(0)(data.x) - data.y).square().mean().item(), rel=1e-5)  # in chunks, the last one short


@pytest.mark.parametrize(
    "run",
    [
        Training(Digits(size=150, test=50), SmallCNN(channels=(4,), colours=1, side=8), SGD(lr=0.5), epochs=3),
        Training(Regression(size=200, test=50), MLP((1, 16, 1), "tanh"), SGD(lr=0.1), loss="mse", epochs=3, batch=20),
        Training(LinearTeacher(spectrum=(1.0, 2.0), size=300), DLN((5, 4, 5)), Adam(lr=0.01), loss="half_squares", epochs=3),
        Training(LinearTeacher(1, 1, (1.0,), size=100), MinimallySingular(4, 3), SGD(lr=0.01), loss="mse", epochs=3),
    ],
    ids=lambda run: type(run.model).__name__,
)
def test_every_kind_of_model_and_data_trains(run):
    frames = [(frame.train, frame.test) for frame in run.stream() if frame.train]
    assert frames[-1][0].loss < frames[0][0].loss and frames[-1][1].loss < frames[0][1].loss


@needs_mnist
def test_lenet_learns_mnist():
    run = Training(MNIST(root=str(SHARED), size=1000, test=200), LeNet5(), SGD(lr=0.05, momentum=0.9), epochs=2, batch=25)
    assert run.run().frames[-1].test.accuracy > 0.7


# Probes


def trace(model, loss, x, y, seed):
    """A rude probe: it spoils the model it is given."""
    value = loss(model(x), y).mean()
    value.backward()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    return len(x), seed, value.item()


@dataclass(frozen=True)
class Fails:
    def measure(self, model, loss, x, y, seed):
        raise ValueError("nothing to measure")


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=name)
def test_probes_change_nothing_whatever_they_do_to_the_model_they_are_given(optimiser):
    run = replace(BASE, optimiser=optimiser, epochs=1)
    assert torch.equal(end(replace(run, probes=(trace, Watch(trace, every=2))).stream()), end(run.stream()))


def test_probes_are_measured_where_they_are_due_on_the_samples_that_were_named():
    run = replace(BASE, probes=(trace, Watch(trace, every=5, on="test", size=20), Fails()))
    frames = list(run.stream(every=4))
    assert frames[0].step == frames[1].step == 0 and frames[0].probes == (None, None, None)  # the first frame waits for none
    for column, steps, size in ((0, {0, 7, 14, 21}, 200), (1, {0, 5, 10, 15, 20}, 20)):
        assert {frame.step for frame in frames if frame.probes[column]} == steps
        assert {frame.probes[column][:2] for frame in frames if frame.probes[column]} == {(size, 2)}
    whole = [frame for frame in frames[1:] if frame.step % 7 == 0]
    for frame in whole:
        assert frame.probes[0][2] == pytest.approx(frame.train.loss, rel=1e-5)
        assert isinstance(frame.probes[2], ValueError) and "nothing to measure" in str(frame.probes[2])


# Switching


def test_until_the_switch_a_training_is_the_one_without_it_and_then_the_other_optimiser_goes_on_from_the_same_weights():
    switched = replace(BASE, switch=((2, SGD(lr=0.3)),))
    at_two = end(replace(BASE, epochs=2).stream())
    frames = switched.stream(every=1)
    for frame in frames:
        if frame.step == 14:
            assert torch.equal(weights(frame.model), at_two)
            break
    model, (x, y) = copy.deepcopy(frame.model), BASE.data.load()[:2]
    for batch in permutation(200, 2, 2).split(32):  # plain steps from there, no momentum left
        gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(model(x[batch]), y[batch]), list(model.parameters()))
        with torch.no_grad():
            for p, g in zip(model.parameters(), gradients, strict=True):
                p -= 0.3 * g
    torch.testing.assert_close(end(frames), weights(model), rtol=0, atol=1e-6)


def test_switching_to_the_same_optimiser_without_memory_changes_nothing():
    run = replace(BASE, optimiser=SGD(lr=0.1))
    assert torch.equal(end(replace(run, switch=((1, SGD(lr=0.1)), (2, SGD(lr=0.1)))).stream()), end(run.stream()))


# Races


def test_each_lane_of_a_race_is_the_training_alone_and_a_common_past_is_made_once(monkeypatch):
    runs = tuple(replace(BASE, switch=switch) for switch in (((2, SGD(lr=0.3)),), ((2, Adam()),), ((1, Adam()), (2, SGD(lr=0.1)))))
    made, advance = [], Descent.advance
    monkeypatch.setattr(Descent, "advance", lambda state, stop: (made.append(stop - state.step), advance(state, stop)))
    frames = []
    for standings in Race(runs).stream(every=3):
        frames.append([(numbers(lane), weights(lane.model).clone()) for lane in standings.lanes])
        assert sum(made) + standings.field.left() == 7 * (1 + 2 + 3)  # what is left is what will be made
    assert sum(made) == 7 * (1 + 2 + 3)
    for i, run in enumerate(runs):
        alone = [(numbers(frame), weights(frame.model).clone()) for frame in run.stream(every=3)]
        for (a, v), (b, w) in zip((lanes[i] for lanes in frames), alone, strict=True):
            assert a == b and torch.equal(v, w)


def test_optimisers_race_from_one_state_on_the_same_batches():
    race = Race.of(replace(BASE, epochs=1), *OPTIMISERS)
    first, *_, last = race.stream(every=100)
    assert len({numbers(lane) for lane in first.lanes}) == 1 and last.ended == (None,) * len(OPTIMISERS)
    assert [torch.equal(weights(lane.model), end(run.stream())) for lane, run in zip(last.lanes, race.runs, strict=True)] == [True] * len(OPTIMISERS)


def test_a_lane_that_diverges_says_so_and_the_others_go_on():
    race = Race.of(replace(LINEAR, epochs=2), SGD(lr=0.1), HUGE)
    last = list(race.stream(every=3))[-1]
    assert last.step == 14 and last.ended[0] is None and "step" in last.ended[1] and "SGD(lr=10000" in last.ended[1]
    assert last.lanes[0].step == 14 and last.lanes[1].step < 14
    assert torch.equal(weights(last.lanes[0].model), end(race.runs[0].stream()))
    alone = list(Race.of(LINEAR, HUGE).stream(every=1))
    assert alone[-1].ended[0] and alone[-1].step < 21  # nothing left to wait for


# Checkpoints


def interrupted(run, path, every, saves):
    """The frames of a run that is stopped at these steps and resumed from a file each time, as (numbers, weights)."""
    seen, frames = [], run.stream(every)
    for stop in (*saves, None):
        for frame in frames:
            seen.append((numbers(frame), weights(frame.model).clone()))
            if frame.step == stop:
                frame.save(path)
                break
        if stop is not None:
            frames = run.resume(path, every)
            again = next(frames)
            assert numbers(again) == seen[-1][0] and torch.equal(weights(again.model), seen[-1][1])
    return seen


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=name)
def test_interrupted_and_resumed_is_uninterrupted_to_the_bit(optimiser, tmp_path):
    run = replace(BASE, optimiser=optimiser, switch=((2, Adam()),))
    whole = [(numbers(frame), weights(frame.model).clone()) for frame in run.stream(every=2)]
    parts = interrupted(
        run, tmp_path / "state", 2, (0, 4, 7, 11, 14, 18, 21)
    )  # at the start, within epochs, at their ends, at the switch, at the end
    for (a, v), (b, w) in zip(whole, parts, strict=True):
        assert a == b and torch.equal(v, w)


def test_another_process_resumes_to_the_same_bits(tmp_path):
    run = Training(Regression(size=100), MLP((1, 20, 1)), Adam(), epochs=4, batch=9, loss="mse")
    for frame in run.stream(every=1):
        if frame.step == 9:
            frame.save(tmp_path / "state")
    code = f"""
import sys
from nets.data import *; from nets.models import *; from nets.optimisers import *; from nets.training import *
*_, last = {run!r}.resume(sys.argv[1])
print([p.tolist() for p in last.model.parameters()])
"""
    printed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "state")], capture_output=True, text=True, check=True).stdout
    assert printed == f"{[p.tolist() for p in frame.model.parameters()]}\n"


def test_one_trunk_serves_several_branches(tmp_path):
    for frame in BASE.stream():
        if frame.step == 14:
            frame.save(tmp_path / "trunk")
    for branch in (replace(BASE, switch=((2, Adam()),)), replace(BASE, epochs=5), replace(BASE, scored=10, probes=(trace,))):
        assert torch.equal(end(branch.resume(tmp_path / "trunk")), end(branch.stream()))


def test_a_race_goes_on_from_a_file_to_the_bit_a_diverged_lane_included(tmp_path):
    runs = tuple(replace(LINEAR, switch=switch) for switch in (((2, SGD(lr=0.3)),), ((2, Adam()),), ((1, HUGE),)))
    race, path = Race(runs), tmp_path / "race"
    whole = list(map(_shown, race.stream(every=2)))
    seen, frames = [], race.stream(every=2)
    for stop in (0, 6, 11, 14, 18, None):
        for frame in frames:
            seen.append(_shown(frame))
            if frame.step == stop:
                frame.save(path)
                frames = race.resume(path, every=2)
                assert _shown(next(frames)) == seen[-1]
                break
    assert seen == whole and whole[-1][1][2]
    for strange in (
        Race(runs[:2]),
        Race((runs[0], runs[1], replace(LINEAR, switch=((1, Adam()),)))),
        Race.of(replace(LINEAR, seed=1), *OPTIMISERS[:3]),
    ):
        with pytest.raises(ValueError, match="resume the"):
            strange.resume(path)
    with pytest.raises(ValueError, match="it holds race, not training"):
        BASE.resume(path)


def _shown(standings):
    return [standings.step, standings.ended] + [(numbers(lane), weights(lane.model).tolist()) for lane in standings.lanes]


@pytest.fixture
def saved(tmp_path):
    for frame in BASE.stream():
        if frame.step == 7:
            frame.save(tmp_path / "state")
            return tmp_path / "state"


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(BASE, model=MLP((64, 13, 10))), "its model is MLP.*64, 12, 10.*, and here MLP.*64, 13, 10.*resume the training"),
        (replace(BASE, data=Digits(size=199, test=50)), "its data is Digits"),
        (replace(BASE, seed=3), "its seed is 2, and here 3"),
        (replace(BASE, batch=31), "its batch is 32"),
        (replace(BASE, dtype="float64"), "its dtype"),
        (replace(BASE, optimiser=Adam()), "its optimiser is"),
        (replace(BASE, epochs=1), None),
        (replace(BASE, switch=((1, Adam()),)), None),
    ],
    ids=lambda value: "" if isinstance(value, Training) else None,
)
def test_a_checkpoint_of_another_past_is_refused_and_one_of_another_future_is_not(saved, other, named):
    if named is None:
        assert next(other.resume(saved)).step == 7
    else:
        with pytest.raises(ValueError, match=named):
            other.resume(saved)
    with pytest.raises(ValueError, match="of step 7, beyond the 6 of this training; choose more epochs"):
        Training(Digits(size=200, test=50), BASE.model, BASE.optimiser, epochs=6, batch=200, seed=2).resume(_with_batch(saved))


def _with_batch(path):
    """The same state as if it were of batches of 200: one step an epoch."""
    content = checkpoint.read(path, "training")["training"]
    content["run"]["batch"] = "200"
    checkpoint.write(path, {"kind": "training", "training": content})
    return path


def test_a_checkpoint_does_not_mind_where_the_data_lie():
    data = MNIST(root="/here")
    moved = replace(data, root="/there", download=True)
    pasts = [nets.descent.past(SimpleNamespace(**{**vars(BASE), "data": d}, epoch_steps=7, optimisers=BASE.optimisers), 7) for d in (data, moved)]
    assert pasts[0] == pasts[1]


def test_a_truncated_or_damaged_checkpoint_is_one_clear_error_and_is_left_as_it_is(saved):
    whole = saved.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:length] for length in (0, 1, 20, len(whole) // 2, len(whole) - 30, len(whole) - 1)] + [b"text" * 100, rng.bytes(5000)]
    at = whole.index(weights(next(BASE.resume(saved)).model)[:8].numpy().tobytes())  # one bit of a weight
    damaged.append(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    for content in damaged:
        saved.write_bytes(content)
        with pytest.raises(ValueError, match=r"truncated or damaged .*; take an older one, or start anew"):
            BASE.resume(saved)
        assert saved.read_bytes() == content
    saved.write_bytes(whole)
    assert next(BASE.resume(saved)).step == 7
    with pytest.raises(ValueError, match="there is no such file"):
        BASE.resume(saved.parent / "none")


def test_a_file_that_would_run_code_is_refused_unread(tmp_path):
    class Mischief:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was-here"),)

    torch.save({"format": checkpoint.FORMAT, "kind": "training", "training": Mischief()}, tmp_path / "state")
    with pytest.raises(ValueError, match="truncated or damaged"):
        BASE.resume(tmp_path / "state")
    assert not (tmp_path / "was-here").exists()
    torch.save({"weights": torch.ones(3)}, tmp_path / "state")
    with pytest.raises(ValueError, match="it holds something else, not training"):
        BASE.resume(tmp_path / "state")


@pytest.mark.parametrize("missing", ["step", "run", "weights", "stepper", "report"])
def test_an_incomplete_checkpoint_is_one_clear_error(saved, missing):
    content = checkpoint.read(saved, "training")["training"]
    del content[missing]
    checkpoint.write(saved, {"kind": "training", "training": content})
    with pytest.raises(ValueError, match=f"incomplete \\('{missing}'\\)"):
        BASE.resume(saved)


def test_a_save_that_fails_leaves_the_former_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()
    frame = next(BASE.stream())

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        frame.save(saved)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]
    with pytest.raises(ValueError, match=r"cannot be written .*name a file in a folder that exists"):
        frame.save(saved.parent / "no" / "state")


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    frame = next(BASE.stream())
    with torch.no_grad():
        next(frame.model.parameters())[0, 0] = math.nan
    with pytest.raises(ValueError, match="not finite: this state is not saved"):
        frame.save(tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_a_frame_that_the_training_has_left_is_not_saved_under_its_name(tmp_path):
    frames = BASE.stream()
    first = next(frames)
    next(frames)
    with pytest.raises(ValueError, match="this frame is of step 0, and its training has gone on to 7"):
        first.save(tmp_path / "state")
    standings = Race((BASE,)).stream()
    first = next(standings)
    next(standings)
    with pytest.raises(ValueError, match="has gone on to 7"):
        first.save(tmp_path / "state")


# Divergence


def test_a_training_that_diverges_ends_with_one_error_that_names_step_and_optimiser_and_keeps_its_earlier_frames():
    frames, seen = replace(LINEAR, optimiser=HUGE).stream(every=1), []
    with pytest.raises(Diverged, match=r"step \d+ \(epoch 0\) of SGD\(lr=10000.0.*not finite"):
        seen.extend(frames)
    assert seen and torch.isfinite(weights(seen[-1].model)).all()


# Matched loss


def test_at_matched_loss_the_value_is_exact_where_it_is_linear_in_the_log_of_the_loss():
    runs = []
    for rate, scale in ((0.1, 1.0), (0.03, 2.0)):  # loss e^(-rate t), value scale (5 - log loss): known at every loss
        steps = np.arange(0, 100, 7)
        runs.append([_point(step, math.exp(-rate * step), scale * (5 + rate * step)) for step in steps])
    for loss in (0.9, 0.5, 0.06, math.exp(-0.03 * 98)):
        found = matched(runs, lambda frame: frame.value, loss)
        assert found.values == pytest.approx([5 - math.log(loss), 2 * (5 - math.log(loss))], rel=1e-12)
        assert found.steps == pytest.approx([-math.log(loss) / 0.1, -math.log(loss) / 0.03], rel=1e-9)
    lowest = matched(runs, lambda frame: frame.value)
    assert lowest.loss == math.exp(-0.03 * 98) and lowest.steps[1] == 98


def _point(step, loss, value):
    return SimpleNamespace(step=step, train=SimpleNamespace(loss=loss), value=value)


def test_at_matched_loss_two_curves_that_are_one_function_of_the_loss_agree_though_they_differ_at_equal_epochs():
    """What confounds a comparison after as many epochs: one optimiser has converged less far."""
    fast, slow = ([_point(t, math.exp(-rate * t), math.exp(-rate * t) ** 0.5) for t in range(50)] for rate in (0.2, 0.05))
    assert slow[-1].value > 10 * fast[-1].value
    a, b = matched((fast, slow), lambda frame: frame.value).values
    assert a == pytest.approx(b, rel=0.2**2 / 2)  # linear between points 0.2 apart in log loss: (0.5 x 0.2)^2 / 8 at most


def test_a_monotone_parabola_between_two_frames_is_within_the_bend():
    """v = 4 s^2 with s from 0 to 1 in log loss: its slope goes from none to twice the chord's, the most a monotone one can."""
    frames = [_point(0, math.exp(-1), 0.0), _point(1, math.exp(-3), 4.0)]
    for s in (0.1, 0.5, 0.8):
        found = matched([frames], lambda frame: frame.value, math.exp(-1 - 2 * s))
        assert found.values[0] - 4 * s**2 == pytest.approx(found.bends[0])
    assert matched([frames], lambda frame: frame.value).bends == (0.0,), "where it was measured"


def test_the_first_crossing_counts_and_frames_without_scores_or_values_are_left_out():
    assert at_loss([4, 1, 2, 1, 0.5], [0, 10, 20, 30, 40], 1) == 10
    assert at_loss([4, 1], [0, 10], 2) == pytest.approx(5)  # halfway in the log
    assert at_loss([1, 0], [3, 7], 0.5) == pytest.approx(3, abs=0.01)  # exp(-690) is far away
    frames = [_point(0, 2.0, 1.0), SimpleNamespace(step=1, train=None, value=9.0), _point(2, 1.5, None), _point(3, 1.0, 2.0)]
    assert matched([frames], lambda frame: frame.value, 1.0).values == (2.0,)


def test_real_trainings_are_compared_at_matched_loss():
    runs = [list(replace(BASE, optimiser=optimiser).stream()) for optimiser in (SGD(lr=0.05), SGD(lr=0.2))]
    found = matched(runs, lambda frame: frame.epoch)
    assert found.loss == runs[0][-1].train.loss and found.values[0] == 3 and 0 < found.values[1] < 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: at_loss([2, 1], [0, 1], 0.5), "loss = 0.5 is never reached: the lowest is 1"),
        (lambda: at_loss([2, 1], [0, 1], 3), "loss = 3 is above the first loss, 2"),
        (lambda: at_loss([2, math.nan], [0, 1], 1), "a loss is negative or NaN"),
        (lambda: at_loss([2, 1], [0, 1], math.nan), "loss = nan; give a number above 0"),
        (lambda: at_loss([2, 1], [0], 1), "same length"),
        (lambda: at_loss([], [], 1), "at least 1"),
        (lambda: matched([], lambda frame: 1), "no runs"),
        (lambda: matched([[_point(0, 1.0, None)]], lambda frame: frame.value), "run 0 has no frame with both"),
        (lambda: matched([[_point(0, 2.0, 1)], [_point(0, 1.0, 1)]], lambda frame: frame.value, 1.0), "run 0: loss = 1 is never reached"),
    ],
)
def test_a_loss_that_was_not_passed_is_refused_with_the_one_that_was(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Time left


def test_the_time_left_is_the_time_a_step_has_taken_times_the_steps_to_come(monkeypatch):
    """A clock that moves by one at each look: a frame costs 1 and the steps before it 1, so 2 a frame, and the first frame 1."""
    ticks = iter(range(10**6))
    for module in (nets.training, nets.descent, nets.race):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    frames = list(BASE.stream(every=3))
    for i, frame in enumerate(frames[1:], 1):
        assert frame.seconds_left == pytest.approx((1 + 2 * i) / frame.step * (21 - frame.step))
    last = list(Race.of(BASE, SGD(), Adam()).stream(every=3))
    assert math.isnan(last[0].seconds_left) and last[-1].seconds_left == 0 and all(standings.seconds_left > 0 for standings in last[1:-1])


# Values


def test_a_training_and_a_race_are_values_that_print_as_the_calls_that_make_them():
    run = replace(BASE, switch=((1, Adam()),), probes=(Watch(Fails(), every=3, on="test"),))
    space = {"Fails": Fails}
    for module in (nets.data, nets.models, nets.optimisers, nets.training, nets.race):
        space.update(vars(module))
    for value in (run, Training(), Race((run, BASE.__class__(**{**vars(run), "optimiser": SGD(lr=0.7)})))):
        assert eval(repr(value), space) == value and hash(eval(repr(value), space)) == hash(value)
        assert pickle.loads(pickle.dumps(value)) == value


def test_a_run_keeps_all_frames_and_the_network():
    done = BASE.run()
    assert [frame.step for frame in done.frames] == [0, 7, 14, 21] and torch.equal(weights(done.model), end(BASE.stream()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Training(data="mnist"), "data = 'mnist' is no data; give a value such as Digits"),
        (lambda: Training(model=MLP), "is no model; give a value such as MLP"),
        (lambda: Training(optimiser="sgd"), "is no optimiser; give a value such as SGD"),
        (lambda: Training(epochs=0), "epochs = 0 is below"),
        (lambda: Training(batch=2.5), "batch = 2.5 is not whole"),
        (lambda: Training(seed=math.nan), "seed = nan is not finite"),
        (lambda: Training(loss="hinge"), "loss = 'hinge'; choose one of"),
        (lambda: Training(dtype="float16"), "dtype = 'float16'"),
        (lambda: Training(device="abacus"), "device = 'abacus' is not usable here .*choose 'cpu'"),
        (lambda: Training(switch=((10, SGD()),)), "switch = .*ascending from epoch 1 to 9"),
        (lambda: Training(switch=((3, SGD()), (3, SGD()))), "switch = "),
        (lambda: Training(switch=((0, SGD()),)), "switch = "),
        (lambda: Training(switch=((1.5, SGD()),)), "switch = "),
        (lambda: Training(switch=(3, SGD())), "switch = "),
        (lambda: Training(switch=((3, "sgd"),)), "switch = "),
        (lambda: Training(switch=None), "switch = None"),
        (lambda: Training(probes=3), "probes = 3; give a tuple"),
        (lambda: Training(probes=("trace",)), "probe = 'trace'; give a value with measure"),
        (lambda: Training(probes=(Fails,)), "give a value with measure"),
        (lambda: Watch(trace, on="both"), "on = 'both'"),
        (lambda: next(BASE.stream(every=0)), "every = 0; a frame every 1, 2, ... steps"),
        (lambda: BASE.stream(every=2.5), "every = 2.5"),
        (lambda: BASE.resume("state", every=-1), "every = -1"),
        (lambda: Race(()), "give a tuple of trainings"),
        (lambda: Race((BASE, "sgd")), "give a tuple of trainings"),
        (lambda: Race((BASE, replace(BASE, seed=5))), r"runs\[1\] differs from runs\[0\] in more than optimiser and switch"),
        (lambda: replace(BASE, model=MLP((65, 10))).stream(), r"reads inputs of shape \(65,\), and Digits.* has \(1, 8, 8\)"),
        (lambda: replace(BASE, model=MLP((64, 9))).stream(), "does not fit .*: its output has shape \\(9,\\), and labels go up to 9"),
        (lambda: replace(BASE, model=LeNet5()).stream(), r"reads inputs of shape \(1, 28, 28\)"),
        (lambda: replace(BASE, loss="mse").stream(), "the labels of Digits.* are classes; choose 'cross_entropy'"),
        (lambda: Training(LinearTeacher(), DLN((5, 5))).stream(), "are targets; choose 'mse' or 'half_squares'"),
        (lambda: Training(LinearTeacher(), DLN((5, 4)), loss="mse").stream(), "does not fit .*: target has shape \\(2, 5\\)"),
        (lambda: Training(LinearTeacher(inputs=64), SmallCNN(channels=(4,), colours=1, side=8), loss="mse").stream(), "does not fit"),
    ],
)
def test_a_training_refuses_what_it_cannot_do_and_says_what_it_can(make, message):
    with pytest.raises(ValueError, match=message):
        make()
