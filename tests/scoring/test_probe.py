"""Linear probes: what is read of an answer, and what a regression makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import probe

PROMPTS = ["How do I bake bread?", "Tell me a story about a fox, and make it a long one.", "Why?"]
RESPONSES = [
    "Mix flour and water, wait, and bake.",
    "Once there was a fox who lived by a river and never hurried anywhere.",
    "Because.",
]


@pytest.mark.parametrize("layer", [18, 22])
def test_what_is_read_of_an_answer_does_not_depend_on_what_stands_beside_it(layer: int) -> None:
    together = probe.reading(PROMPTS, RESPONSES, layer=layer, precision="fp32")
    pairs = zip(PROMPTS, RESPONSES, strict=True)
    alone = [probe.reading([prompt], [answer], layer=layer, precision="fp32")[0] for prompt, answer in pairs]
    assert together.shape == (3, 576)
    assert together == pytest.approx(np.array(alone), rel=1e-3, abs=1e-3)


def test_layers_are_read_apart() -> None:
    first, second = (probe.reading(PROMPTS, RESPONSES, layer=layer) for layer in (18, 22))
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("classes", [2, 3])
def test_a_probe_learns_what_its_rows_say_and_its_shares_sum_to_one(classes: int, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    labels = np.arange(60) % classes
    read = np.random.default_rng(0).normal(size=(60, 576)).astype(np.float32)
    read[:, :classes] += 4 * np.eye(classes, dtype=np.float32)[labels]
    found = probe.fitted(read, labels, freedom=0.01)
    said = probe.probabilities(read, weights=found)
    assert said.shape == (60, classes)
    assert said.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    assert (said.argmax(axis=1) == labels).all()
    save_file(found, tmp_path / probe.WEIGHTS_FILE)
    assert probe.probabilities(read, weights=probe.weights(tmp_path)) == pytest.approx(said)
    # As scikit-learn says it, of which a file holds the numbers alone.
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.01, max_iter=2000).fit((read - found["mean"]) / found["scale"], labels)
    assert said == pytest.approx(model.predict_proba((read - found["mean"]) / found["scale"]), abs=1e-4)


def test_missing_weights_are_one_line_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(SafetuneError, match=f"safetune train-instrument {tmp_path.name}"):
        probe.weights(tmp_path)


def test_the_request_s_average_stands_before_that_of_the_answer() -> None:
    prompts, responses = ["Name a fruit.", "Say no."], ["An apple.", "No."]
    both = probe.reading(prompts, responses, layer=2, with_request=True)
    answers = probe.reading(prompts, responses, layer=2)
    assert both.shape == (2, 1152)
    assert np.array_equal(both[:, 576:], answers)
    # A request is read before its answer, and so knows nothing of it.
    others = probe.reading(prompts, responses[::-1], layer=2, with_request=True)
    assert np.allclose(others[:, :576], both[:, :576], atol=1e-4)
    assert not np.allclose(both[0, :576], both[1, :576], atol=1e-2)
