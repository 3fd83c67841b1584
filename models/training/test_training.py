#!/usr/bin/env python3
"""Runs the training, the export and the calibration of an own head on a few made-up comments with a network of two tiny layers.

    ../venv/bin/python models/training/test_training.py

It takes less than a minute and needs neither the labelled data nor the first weights.
"""

import argparse
import copy
import hashlib
import json
import pathlib
import tempfile
import unittest
import unittest.mock

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import augmentation
import calibrate
import card
import convolutional
import convolutions
import encoder
import lexical
import mixing
import own_heads
import quantise
import risk
import shrinking
import templates
import train
from calibrate import MARKER
from graph import Graph, Session, matrices_of, seen
from inputs import Reader, batches
from labels import LABELS
from measures import auc, bootstrap, recall_at, wilson
from whole import put_section

GOOD = [f"{start} {end}" for start in ("merci", "quelle belle visite", "bravo") for end in ("au musée", "pour les enfants", "à toute la salle", "ce soir")]
BAD = [f"{start} {end}" for start in ("pauvre con", "connard", "ferme ta gueule") for end in ("de guide", "va crever", "sale idiot", "abruti")]
CONFIG = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64, "pad_token_id": 1}


def pack(state):
    """The arrays of a 4-bit pack, as encoder.unpack reads them."""
    packed = {}
    for name, value in state.items():
        if value.ndim < 2 or value.size % 32:
            packed[name] = value
            continue
        blocks = value.reshape(-1, 32)
        scale = np.abs(blocks).max(1) / 7 + 1e-9
        quantised = (np.clip(np.round(blocks / scale[:, None]), -8, 7) + 8).astype(np.uint8)
        packed |= {f"{name}::q": quantised[:, :16] | (quantised[:, 16:] << 4), f"{name}::d": scale.astype(np.float32), f"{name}::s": np.array(value.shape)}
    return packed


def first_weights():
    random, size, rise = np.random.default_rng(1), CONFIG["hidden_size"], CONFIG["intermediate_size"]
    matrix = lambda *shape: random.normal(0, 0.1, shape).astype(np.float32)  # noqa: E731
    state = {"embeddings.word_embeddings.weight": matrix(CONFIG["vocab_size"], size), "embeddings.position_embeddings.weight": matrix(64, size)}
    state |= {"embeddings.token_type_embeddings.weight": matrix(2, size), "embeddings.LayerNorm.weight": np.ones(size, np.float32)}
    state["embeddings.LayerNorm.bias"] = np.zeros(size, np.float32)
    for index in range(CONFIG["num_hidden_layers"]):
        for own, theirs in encoder.LAYER_NAMES.items():
            shape = {"rise": (rise, size), "fall": (size, rise)}.get(own, (size, size))
            norm = own.endswith("norm")
            state[f"encoder.layer.{index}.{theirs}.weight"] = np.ones(size, np.float32) if norm else matrix(*shape)
            state[f"encoder.layer.{index}.{theirs}.bias"] = np.zeros(shape[0] if not norm else size, np.float32)
    return state


def tokenizer():
    words = sorted({word for text in GOOD + BAD for word in text.split()})
    vocabulary = {word: place for place, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
    result = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    result.pre_tokenizer = pre_tokenizers.Whitespace()
    result.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return result


def lay(folder):
    """Data and first weights in `folder`; every source of the mixture has the same few lines."""
    (folder / "train").mkdir()
    (folder / "validation").mkdir()
    rows = [{"text": text, "labels": {"toxic": 0, "hate": 0, "threat": 0, "insult": 0}, "targets": [], "parent": "la salle"} for text in GOOD]
    rows += [{"text": text, "labels": {"toxic": 1, "hate": 0, "threat": 0, "insult": 1}, "targets": ["user"]} for text in BAD]
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    for name in mixing.SOURCES:
        (folder / "train" / f"{name}.jsonl").write_text(content, encoding="utf-8")
    for name in train.Validation.SETS:
        (folder / "validation" / f"{name}.jsonl").write_text(content, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    tokenizer().save(str(folder / "tokenizer.json"))
    np.savez(folder / "weights.npz", **pack(first_weights()))


def run_of(folder, minutes=5.0, texts=4500, teachers=(), layers=None, neurons=None, match=0.0, own_by_labels=False, resume=None):
    return train.Run(
        argparse.Namespace(
            data=folder, base=folder, work=folder, out=folder / "model", resume=resume, first_model=None, asked=1.0, whole_vocabulary=None, export_only=False, french_from=0.67, decay=1.0, texts=texts, minutes=minutes, every=60.0,
            teachers=list(teachers), layers=layers, neurons=neurons, own_share=None, match=match, own_by_labels=own_by_labels, last=False, samples=3000, processes=2, layer_dropout=0.1,
            tokens=24, padded_tokens=128, frozen=0, rate=2e-3, blend=[0.5, 1.0], threads=1, seed=3,
        )
    )  # fmt: skip


def trained(folder):
    """A run that ended, its network in blended.pt of `folder`."""
    lay(folder)
    run = run_of(folder)
    run.blend(run.train())
    return run


def area(run, model):
    """How well `model` tells the abusive comments of `run`."""
    return auc(train.logits_of(model, run.reader, run.validation.sequences["toxifrench"])[:, 0], run.validation.truths["toxifrench"][:, 0])


class Training(unittest.TestCase):
    def setUp(self):
        """Only what `lay` lays: none of the comments of this folder."""
        self.enterContext(unittest.mock.patch.multiple(mixing, WRITTEN=pathlib.Path("none"), CORRECTIONS=pathlib.Path("none")))

    def test_learns_exports_and_repeats(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lay(folder)
            run = run_of(folder)
            before = np.mean(run.validation.measure(lambda texts: train.logits_of(run.average, run.reader, texts))["toxifrench"][0])
            model = run.train()
            heads, own = model.heads.weight.detach().clone(), model.layers[1].fall.weight.detach().clone()
            run.blend(model)
            blends = [run.start["layers.1.fall.weight"].lerp(own, share) for share in (0.5, 1.0)]
            self.assertTrue(any(torch.allclose(model.layers[1].fall.weight, blend) for blend in blends))
            self.assertTrue(torch.equal(model.heads.weight, heads))
            sequences = run.validation.sequences["toxifrench"]
            direct = train.logits_of(model, run.reader, sequences)
            after = auc(direct[:, 0], run.validation.truths["toxifrench"][:, 0])
            self.assertGreater(after, 0.95, f"was {before}")
            plain = quantise.export(model, folder / "fp32.onnx")
            exported = Session(plain).logits_of(sequences)
            np.testing.assert_allclose(exported, direct, atol=1e-3)
            session = Session(quantise.to_int8(model, folder / "int8.onnx", sequences))
            small = session.logits_of(sequences)
            together = session.session.run(None, dict(zip(("ids", "mask"), run.reader.pad(sequences), strict=True)))[0]
            np.testing.assert_allclose(together, small, atol=1e-4, err_msg="neighbours in a batch change a score")
            self.assertGreater(auc(small[:, 0], run.validation.truths["toxifrench"][:, 0]), 0.9)
            self.assertLess((folder / "int8.onnx").stat().st_size, plain.stat().st_size)
            again = copy.deepcopy(run.model)
            again.load(train.checkpoint(folder / "int8.onnx"))
            np.testing.assert_allclose(train.logits_of(again, run.reader, sequences), direct, atol=0.1 * np.abs(direct).max())
            learnt = [name for name in model.state_dict() if name.startswith(("layers.", "heads."))]
            self.assertEqual(set(train.checkpoint(folder / "int8.onnx")), set(learnt))

    def test_a_shallow_network_learns_from_deep_ones(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            run = trained(folder)
            student = run_of(folder, texts=3000, teachers=[folder / "blended.pt"] * 2, layers=[1])
            said = student.targets[0]
            torch.testing.assert_close(said, student.answers(run.average, student.parts[0], np.arange(len(said)))[0], atol=0.1, rtol=0.1)
            model = student.train()
            self.assertEqual(len(model.layers), 1)
            self.assertGreater(area(run, model), 0.95)

    def test_a_narrow_network_learns_from_a_wide_one(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            run = trained(folder)
            student = run_of(folder, texts=4000, teachers=[folder / "blended.pt"], neurons=16, match=5.0)
            everything = np.arange(len(student.parts[0]))
            before = student.answers(run.average, student.parts[0], everything)[1]
            torch.testing.assert_close(student.hints[0], before, atol=0.1, rtol=0.1)
            distances = [train.distance(student.answers(student.average, student.parts[0], everything)[1], student.hints[0])]
            model = student.train()
            distances.append(train.distance(student.answers(model, student.parts[0], everything)[1], student.hints[0]))
            self.assertLess(distances[1], distances[0] / 2)
            self.assertEqual({layer.rise.out_features for layer in model.layers}, {16})
            self.assertGreater(area(run, model), 0.95)
            sequences = run.validation.sequences["toxifrench"]
            direct = train.logits_of(model, run.reader, sequences)
            # Its checkpoint says how wide it is, and so does its int8 form.
            student.blend(model)
            quantise.to_int8(model, folder / "int8.onnx", sequences)
            for path, atol in (("blended.pt", 1e-4), ("int8.onnx", 0.1 * np.abs(direct).max())):
                again = run_of(folder, texts=10, resume=folder / path)
                np.testing.assert_allclose(train.logits_of(again.average, run.reader, sequences), direct, atol=atol)

    def test_a_teacher_is_silent_about_our_own_lines(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lay(folder)
            run_of(folder, texts=200).blend(run_of(folder, texts=200).average)
            run = run_of(folder, texts=600, teachers=[folder / "blended.pt"], own_by_labels=True)
            for part, targets in zip(run.parts, run.targets, strict=True):
                self.assertTrue(0 < part.own.sum() < len(part))
                np.testing.assert_array_equal(torch.isnan(targets).all(dim=1).numpy(), part.own)
                self.assertLess(float(part.weights[~part.own].max()), 0.5)
                self.assertGreater(float(part.weights[part.own].max()), 0.5)

    def test_same_seed_same_draws(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lay(folder)
            for one, other in zip(run_of(folder).parts, run_of(folder).parts, strict=True):
                self.assertTrue(torch.equal(one.ids, other.ids) and len(one) > 900)
                np.testing.assert_array_equal(one.lengths, (one.ids != CONFIG["pad_token_id"]).sum(1))
                taken = [index for _, group in zip(range(400), one.batches(np.random.default_rng(1), 128), strict=False) for index in group]
                self.assertEqual(set(taken), set(range(len(one))))

    def test_what_is_kept_aside_is_not_drawn(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lay(folder)
            texts = {row["text"] for row in mixing.Pool(folder).rows}
            kept = {text for text in GOOD + BAD if mixing.is_held_out({"text": text})}
            self.assertEqual(texts, set(GOOD + BAD) - kept)
            self.assertTrue(mixing.is_held_out({"text": "a", "twin": "x"}) == mixing.is_held_out({"text": "b", "twin": "x"}))


    def test_the_share_of_our_own_lines_can_be_chosen(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lay(folder)
            for share in (0.2, 0.7):
                pool = mixing.Pool(folder, own_share=share)
                self.assertTrue(0 < pool.own.sum() < len(pool.own))
                self.assertAlmostEqual(pool.draws[pool.own].sum() / pool.draws.sum(), share)


class Shrinking(unittest.TestCase):
    def test_neurons_that_others_make_up_for_are_taken_first(self):
        torch.manual_seed(4)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "config.json").write_text(json.dumps(CONFIG))
            tokenizer().save(str(folder / "tokenizer.json"))
            reader, model = Reader(folder / "tokenizer.json", 24, 1), encoder.Classifier(encoder.Shape.read(folder / "config.json"), 3)
        sequences = [reader.ids(text) for text in GOOD + BAD]
        with torch.no_grad():
            for layer in model.layers:
                layer.rise.weight[40:] = layer.rise.weight[:24]  # 24 of the 64 repeat others
                layer.rise.bias[40:] = layer.rise.bias[:24]
        model.eval()
        said = train.logits_of(model, reader, sequences)
        shrinking.fewer_neurons(model, 40, reader, sequences)
        self.assertEqual([layer.fall.in_features for layer in model.layers], [40, 40])
        np.testing.assert_allclose(train.logits_of(model, reader, sequences), said, atol=0.02)


class Quantisation(unittest.TestCase):
    def test_evened_channels_change_nothing_but_int8(self):
        """A channel a hundred times larger than the others, as after GELU: int8 loses the others, and keeps them when evened."""

        class Block(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.table, self.fall = torch.nn.Embedding(32, 64), torch.nn.Linear(64, 8)

            def forward(self, ids, _mask):
                return self.fall(self.table(ids)).sum(1)

        torch.manual_seed(8)
        block, sequences = Block(), [[index] for index in range(32)]
        with torch.no_grad():
            block.table.weight[:, 0] *= 100
            block.fall.weight[:, 0] /= 100
            expected = block(torch.arange(32)[:, None], None).numpy()
        state, errors = {name: value.detach().numpy() for name, value in block.state_dict().items()}, []
        with tempfile.TemporaryDirectory() as folder:
            for power in (0.0, 0.5, 1.0):
                graph, path = Graph(seen(block, sequences)), pathlib.Path(folder) / f"{power}.onnx"
                rows = graph.node("Gather", [graph.array("table", state["table.weight"]), "ids"], "rows")
                product = graph.product(graph.quantised(rows, "fall", power), "fall", state["fall.weight"].T, state["fall.bias"])
                present = graph.node("Unsqueeze", [graph.node("Cast", ["mask"], "present", to=1), graph.array("last", np.array([2]))], "column")
                graph.node("ReduceSum", [graph.node("Mul", [product, present], "kept"), graph.array("axis", np.array([1]))], "logits", keepdims=0)
                graph.save(path, 8)
                errors.append(np.abs(Session(path).logits_of(sequences) - expected).mean())
                np.testing.assert_allclose(matrices_of(path)["fall.weight"], state["fall.weight"].T, atol=0.02 * np.abs(state["fall.weight"]).max())
        self.assertLess(errors[1], errors[0] / 4, errors)
        self.assertLess(errors[2], errors[0] / 4, errors)


class Convolutions(unittest.TestCase):
    def setUp(self):
        """A file with all weights of the first convolutional model, at random, for 40 pieces."""
        random, self.folder = np.random.default_rng(2), pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        torch.manual_seed(2)
        self.network, arrays = convolutions.Convolutional(40, len(convolutional.NEW_HEADS)).eval(), {}
        state = {name: value.numpy() for name, value in self.network.state_dict().items()}
        for name, place in convolutions.MATRICES.items():
            matrix = state[f"{place}.weight"].T
            scale = np.abs(matrix).max(axis=0) / 127
            arrays |= {f"{name}_quantized": np.round(matrix / scale).astype(np.int8), f"{name}_scale": scale, f"{name}_zero_point": np.zeros(len(scale), np.int8)}
        arrays |= {name: state[place] for name, place in convolutions.PLAIN.items()}
        arrays |= {"u.emb.weight_quantized": random.integers(0, 255, (40, 512), np.uint8), "u.emb.weight_scale": np.float32(0.02), "u.emb.weight_zero_point": np.uint8(120)}
        stored = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
        self.plain = self.folder / "plain.onnx"
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "weights", [], [], stored)), str(self.plain))
        tokenizer().save(str(self.folder / "tokenizer.json"))
        self.random, self.reader = random, convolutional.Reader(self.folder / "tokenizer.json", convolutional.TOKENS, convolutional.PADDING)

    def test_is_read(self):
        found, wanted = convolutions.read(self.plain, len(convolutional.NEW_HEADS)).state_dict(), self.network.state_dict()
        for name, value in wanted.items():
            if not name.startswith(("new.", "embeddings.")):
                torch.testing.assert_close(found[name], value, atol=float(value.abs().max()) / 127, rtol=0)

    def test_is_written_with_int8_products(self):
        network = convolutions.read(self.plain, len(convolutional.NEW_HEADS)).eval()
        sequences = [list(map(int, self.random.integers(0, 40, count))) for count in self.random.integers(1, 30, 60)]
        convolutions.write(network, self.folder / "int8.onnx", sequences)
        wanted, session = train.logits_of(network, self.reader, sequences), Session(self.folder / "int8.onnx")
        found = session.logits_of(sequences)
        self.assertEqual(found.shape, wanted.shape)
        self.assertLess(np.abs(found - wanted).mean(), 0.05 * wanted.std())
        together = session.session.run(None, dict(zip(("ids", "mask"), self.reader.pad(sequences), strict=True)))[0]
        np.testing.assert_allclose(together, found, atol=1e-4, err_msg="neighbours in a batch change a score")
        again = convolutions.read(self.plain, len(convolutional.NEW_HEADS))
        convolutions.read_back(again, self.folder / "int8.onnx")
        for name, value in again.state_dict().items():
            torch.testing.assert_close(value, network.state_dict()[name], atol=float(network.state_dict()[name].abs().max()) / 60, rtol=0)

    def test_neighbours_in_a_batch_change_nothing(self):
        network = convolutions.read(self.plain, len(convolutional.NEW_HEADS)).eval()
        sequences = [list(self.random.integers(0, 40, count)) for count in (1, 3, 17)]
        together = train.logits_of(network, self.reader, sequences)
        for row, sequence in enumerate(sequences):
            np.testing.assert_allclose(train.logits_of(network, self.reader, [sequence])[0], together[row], atol=1e-4, rtol=1e-4)

    @unittest.mock.patch.object(convolutional, "PADDED_TOKENS", 256)
    def test_learns_and_goes_on_saying_what_it_said(self):
        network = convolutions.read(self.plain, len(convolutional.NEW_HEADS))
        sequences = [list(self.random.integers(0, 40, 8)) for _ in range(400)]
        values = np.full((400, len(mixing.HEADS)), np.nan, np.float32)
        values[:, 0] = [sequence.count(7) > 0 for sequence in sequences]
        targets = torch.from_numpy(train.logits_of(network, self.reader, sequences))
        targets[:, convolutional.OLD_HEADS :] = np.nan
        targets[:, -1] = torch.from_numpy(8 * values[:, 0] - 4)
        run = convolutional.Run(network, self.reader, sequences, torch.from_numpy(values), torch.ones(400), targets)
        losses = [loss for _, loss in run.passes(12, np.random.default_rng(1))]
        self.assertLess(losses[-1], losses[0])
        said = torch.from_numpy(train.logits_of(run.network, self.reader, sequences))
        for column in (convolutional.OLD_HEADS, -1):
            self.assertGreater(auc(said[:, column].numpy(), values[:, 0]), 0.9)
        said, wanted = (torch.sigmoid(logits[:, : convolutional.OLD_HEADS]) for logits in (said, targets))
        self.assertLess(float((said - wanted).abs().mean()), 0.1)


class LexicalPart(unittest.TestCase):
    def test_ngrams_are_those_of_the_scorer(self):
        """The same numbers as in services/scorer/src/lexical.rs."""
        kinds = [(lexical.KIND_CHARS, " e"), (lexical.KIND_CHARS, "expo "), (lexical.KIND_TOKENS, "très belle"), (lexical.KIND_TOKENS, "❤")]
        self.assertEqual([lexical.bucket(kind, ngram) for kind, ngram in kinds], [319831, 124773, 282321, 416274])
        self.assertEqual(lexical.tokens("L'expo de 2026, génial !!"), ["l", "'", "expo", "de", "2026", ",", "genial", "!", "!"])
        self.assertEqual(lexical.tokens("❤️_🙂 \n"), ["❤", "_", "🙂"])
        self.assertEqual([len(kind) for kind in lexical.Features().of("À b")], [6, 3])

    def test_learns_and_is_read_as_it_was_written(self):
        wanted = np.array([-3.0] * len(GOOD) + [3.0] * len(BAD))
        fitted = lexical.Lexical.fit(GOOD + BAD, wanted, np.ones(len(wanted)))
        values = fitted.values(["merci à toute la salle", "ferme ta gueule connard", ""])
        self.assertTrue(values[0] < -1 < 1 < values[1], values)
        self.assertAlmostEqual(values[2], fitted.bias)
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            (folder / lexical.FILE).write_bytes(fitted.weights.tobytes())
            read = lexical.Lexical.read(folder, {"first_stage": {"lexical": {"scale": fitted.scale, "bias": fitted.bias}}})
            np.testing.assert_array_equal(read.values(GOOD), fitted.values(GOOD))
            self.assertIsNone(lexical.Lexical.read(folder, {"first_stage": {}}))

    def test_a_section_of_a_manifest_is_replaced(self):
        with tempfile.TemporaryDirectory() as place:
            folder, begin, end = pathlib.Path(place), "# begin", "# end"
            (folder / "manifest.toml").write_text(f"a = 1\n\n{MARKER}\nb = 2\n", encoding="utf-8")
            for number in (1, 22):
                put_section(folder, begin, end, [f"c = {number}"])
            self.assertEqual((folder / "manifest.toml").read_text(encoding="utf-8"), f"a = 1\n\n# begin\nc = 22\n# end\n\n{MARKER}\nb = 2\n")


class Labels(unittest.TestCase):
    def known(self, row, masked=()):
        return {head: int(value) for head, value in zip(mixing.HEADS, mixing.truth(row, masked), strict=True) if not np.isnan(value)}

    def test_what_is_not_said_is_unknown(self):
        self.assertEqual(self.known({"labels": {"toxic": 1}}), {"abusive": 1})
        self.assertEqual(self.known({"labels": {"toxic_wide": 1}}), {"toxic": 1})
        self.assertEqual(self.known({"labels": {"toxic": 1, "hate": 1}, "targets": ["muslim"]})["target-religion"], 1)
        self.assertEqual(self.known({"labels": {"toxic": 1, "hate": 1}}, ("toxic",)), {"hate": 1})
        acceptable = self.known({"labels": {"toxic": 0}})
        self.assertEqual(acceptable["threat"], 0)
        self.assertNotIn("spam", acceptable)
        self.assertNotIn("vulgar", acceptable)

    def test_unknown_labels_have_no_gradient(self):
        logits = torch.zeros((1, len(mixing.HEADS)), requires_grad=True)
        values = torch.from_numpy(mixing.truth({"labels": {"toxic": 1}})[None])
        train.masked_loss(logits, values, torch.ones(1), train.head_weights()).backward()
        moved = {head for head, gradient in zip(mixing.HEADS, logits.grad[0], strict=True) if gradient != 0}
        self.assertEqual(moved, {"abusive"})

    def test_a_source_without_abusive_lines_says_nothing_about_it(self):
        place = mixing.HEADS.index("abusive")
        crude, insult, fine = {"labels": {"toxic": 1}}, {"labels": {"toxic": 1, "insult": 1}}, {"labels": {"toxic": 0}}
        for rows, expected in (([crude, fine], [np.nan, np.nan]), ([crude, fine, insult], [np.nan, 0, 1]), ([fine], [0])):
            np.testing.assert_array_equal(mixing.Pool.known(rows, ())[:, place], expected)


class Texts(unittest.TestCase):
    def test_augmentation_keeps_a_text_and_its_seed(self):
        for seed in range(300):
            text = augmentation.augment("Quelle belle exposition, merci à vous tous !", np.random.default_rng(seed))
            self.assertTrue(text.strip())
            self.assertEqual(text, augmentation.augment("Quelle belle exposition, merci à vous tous !", np.random.default_rng(seed)))
        for text in ("", "a", "🤡", "ça", "    "):
            for seed in range(50):
                augmentation.augment(text, np.random.default_rng(seed))

    def test_templates_are_complete_and_balanced(self):
        random = np.random.default_rng(5)
        made = [templates.make(random) for _ in range(2000)]
        self.assertFalse([text for text, _ in made if "{" in text or " de les " in text])
        abusive = np.mean([values[mixing.HEADS.index("abusive")] for _, values in made])
        self.assertTrue(0.2 < abusive < 0.45, abusive)

    def test_inputs_fit(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "tokenizer.json"
            tokenizer().save(str(path))
            reader = Reader(path, 16, 1)
            self.assertEqual(reader.ids("merci"), tokenizer().encode("merci").ids)
            self.assertEqual(reader.ids("merci", "la salle pour les enfants"), tokenizer().encode("merci", "la salle pour les enfants").ids)
            for words in range(40):
                self.assertLessEqual(len(reader.ids("merci " * words, "salle " * words)), 16)
        sequences = [[0] * length for length in (3, 9, 1, 4, 4)]
        groups = list(batches(sequences, 9))
        self.assertEqual(sorted(index for group in groups for index in group), [0, 1, 2, 3, 4])
        self.assertTrue(all(len(group) * max(len(sequences[index]) for index in group) <= 9 for group in groups))


class OwnComments(unittest.TestCase):
    """The comments and corrections of this folder, as they lie here."""

    def test_codes(self):
        labels, targets = mixing.labels_of_codes("hate,insult,@origin")
        self.assertEqual((labels["hate"], labels["insult"], labels["threat"], labels["toxic"], targets), (1, 1, 0, 1, ["origin"]))
        self.assertEqual(mixing.labels_of_codes("-")[0]["toxic"], 0)
        self.assertEqual(mixing.labels_of_codes("criticism,vulgar")[0]["toxic"], 0)
        wide = [mixing.labels_of_codes(*codes)[0].get(mixing.WIDE) for codes in (("vulgar",), ("vulgar", True), ("criticism",), ("insult",), ("vulgar,toxic", True))]
        self.assertEqual(wide, [None, 0, 0, 1, 1])
        self.assertEqual(mixing.labels_of_codes("abusive")[0]["toxic"], 1)
        with self.assertRaisesRegex(ValueError, "unknown label 'haine'"):
            mixing.labels_of_codes("haine")
        row = mixing.own_row("non\tvulgar\tle musée ferme\tset 1")
        self.assertEqual((row["parent"], row["twin"], mixing.own_row("non\t-\t\ts")["twin"]), ("le musée ferme", "set 1", "s"))
        self.assertNotIn("parent", mixing.own_row("non\t-"))

    def test_every_line_can_be_read(self):
        paths = sorted(mixing.WRITTEN.glob("*.tsv"))
        self.assertEqual({path.stem for path in paths} - set(mixing.SOURCES), set())
        rows = [row for path in paths for row in mixing.read_lines(path)]
        abusive = sum(row["labels"]["toxic"] for row in rows)
        self.assertTrue(0.3 < abusive / len(rows) < 0.7, (abusive, len(rows)))
        self.assertFalse([row for row in rows if row["targets"] and not row["labels"]["toxic"]])
        self.assertEqual({path.stem for path in (*mixing.UNSEEN.glob("*.tsv"), *mixing.PAGES.glob("*.tsv"))} & set(mixing.SOURCES), set(), "drawn from what must stay unseen")
        pages = [row for path in sorted(mixing.PAGES.glob("*.tsv")) for row in mixing.read_lines(path)]
        self.assertFalse([row for row in pages if any(row["labels"].values()) or not row.get("parent")], "pages/ has acceptable comments under posts")
        rows += pages + [row for path in sorted(mixing.UNSEEN.glob("*.tsv")) for row in mixing.read_lines(path)]
        texts = [(row["text"], row.get("parent")) for row in rows]
        self.assertEqual(len(texts), len(set(texts)), "a comment twice")

    def test_corrections_replace_labels(self):
        for path in mixing.CORRECTIONS.glob("*.tsv"):
            for digest, codes in mixing.corrections(path.stem).items():
                self.assertRegex(digest, "^[0-9a-f]{16}$")
                self.assertTrue(codes == "?" or (codes in "01" if path.stem == mixing.TOXIC else mixing.labels_of_codes(codes)))
        with tempfile.TemporaryDirectory() as name:
            folder, texts = pathlib.Path(name), ("ah", "oh", "eh")
            lines = [json.dumps({"text": text, "labels": {"toxic": 1}}) for text in texts]
            (folder / "noisy.jsonl").write_text("\n".join(lines), encoding="utf-8")
            digests = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
            (folder / "noisy.tsv").write_text(f"{digests[0]}\tcriticism\n{digests[1]}\t?\n", encoding="utf-8")
            with unittest.mock.patch.object(mixing, "CORRECTIONS", folder):
                ah, oh, eh = mixing.read_lines(folder / "noisy.jsonl")
        self.assertEqual((ah["labels"]["toxic"], ah["labels"]["criticism"], oh["labels"], eh["labels"]), (0, 1, {}, {"toxic": 1}))


class Risk(unittest.TestCase):
    def test_the_promise_holds_as_often_as_it_says(self):
        random, broken, found = np.random.default_rng(4), 0, 0
        for _ in range(200):
            scores = random.random(3000)
            acceptable = random.random(3000) < (1 - scores) * 0.5  # of those over t, (1 - t) / 4 are acceptable
            accepted = risk.hide_threshold(scores, acceptable, 0.05, 0.1)
            if accepted:
                found += 1
                broken += (1 - accepted[0]) / 4 > 0.05
        self.assertGreater(found, 150)
        self.assertLess(broken / 200, 0.1 + 0.05)

    def test_no_threshold_where_nothing_can_be_proved(self):
        scores = np.linspace(0, 1, 40)
        self.assertIsNone(risk.hide_threshold(scores, np.zeros(40, bool), 0.02, 0.05))
        self.assertIsNone(risk.hide_threshold(np.linspace(0, 1, 1000), np.arange(1000) % 2 == 0, 0.02, 0.05))
        threshold, hidden, wrong = risk.hide_threshold(np.linspace(0, 1, 1000), np.arange(1000) < 500, 0.02, 0.05)
        self.assertTrue(0.48 < threshold <= 0.51 and 490 < hidden < 520 and wrong <= 20, (threshold, hidden, wrong))

    def test_less_abuse_breaks_the_promise(self):
        random = np.random.default_rng(5)
        acceptable = random.random(4000) < 0.5
        scores = np.where(acceptable, random.normal(0, 1, 4000), random.normal(3, 1, 4000))
        lax, strict = (risk.least_prevalence(scores, acceptable, threshold, 0.02, 0.05) for threshold in (1.5, 3.0))
        self.assertTrue(0 < strict < lax < 1, (strict, lax))


class Figures(unittest.TestCase):
    def test_measures(self):
        self.assertEqual(auc([0.1, 0.4, 0.35, 0.8], np.array([0, 0, 1, 1])), 0.75)
        self.assertEqual(auc([1, 1, 1, 1], np.array([0, 1, 0, 1])), 0.5)
        self.assertTrue(np.isnan(auc([1, 2], np.array([1, 1]))))
        self.assertEqual(recall_at([0.9, 0.8, 0.1, 0.2], np.array([1, 1, 0, 0]), 0.0), 1.0)
        low, high = wilson(8, 10)
        self.assertTrue(0.48 < low < 0.50 and 0.94 < high < 0.95)
        scores, values = np.arange(200), np.arange(200) % 3 == 0
        low, high = bootstrap(lambda chosen: auc(scores[chosen], values[chosen]), 200, repeats=200)
        self.assertTrue(low < auc(scores, values) < high)

    def test_a_card_keeps_what_is_written_by_hand(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "README.md"
            path.write_text("a\n<!-- unseen: written by models/training/evaluate.py -->\nold\n<!-- end of unseen -->\nz\n", encoding="utf-8")
            self.assertFalse(card.fill(path.parent, "comparison", "evaluate.py", "new"))
            for text in ("one \\1", "two"):
                self.assertTrue(card.fill(path.parent, "unseen", "evaluate.py", text))
            self.assertEqual(path.read_text(encoding="utf-8").split("\n\n"), ["a\n<!-- unseen: written by models/training/evaluate.py -->", "two", "<!-- end of unseen -->\nz\n"])

    def test_urgent_thresholds_are_those_of_ordinary_comments(self):
        scores, none = np.append(np.arange(1000) / 1000, 0.9), np.zeros(1001, dtype=bool)
        values = np.append(np.zeros(1000), 1.0)
        threat = next(label for label in LABELS if label.name == "threat")
        result = {"label": threat, "scores": scores, "values": values, "acceptable": values == 0, "insults": none}
        for further, expected in (({}, 0.984), ({"page_scores": scores[scores < 0.5]}, 0.494)):
            entry = calibrate.thresholds([result | further])["balanced"]["threat"]
            self.assertAlmostEqual(entry["review"], expected, delta=0.0002)

    def test_platt_finds_the_logit(self):
        random = np.random.default_rng(2)
        logits = random.normal(0, 2, 20_000)
        values = (random.random(20_000) < 1 / (1 + np.exp(-(0.7 * logits - 1)))).astype(float)
        slope, bias = own_heads.platt(logits[:, None], values)
        self.assertTrue(abs(slope[0] - 0.7) < 0.05 and abs(bias + 1) < 0.05)


if __name__ == "__main__":
    unittest.main()
