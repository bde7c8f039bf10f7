"""What an LFI student shows for a word: one query, or all of them read in both directions."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_trio import decided

from lfi.answerers import QueriesAnswerer, ask
from lfi.errors import UnsupportedModelError
from lfi.students import Student, StudentConfig
from lfi.students.explanations import explain, explanations_of
from lfi.trio import Trio

WORDS = ["red circle", "star", "blue"]


@pytest.fixture(scope="module")
def trio(trio_folder) -> Trio:
    return Trio.load(trio_folder)


@pytest.fixture(scope="module")
def both(trio) -> Student:
    """A student whose patches are named, and which projects images."""
    return decided(Student(replace(trio.lfi.config, patch_words=True, embed=True)), seed=7)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.effect_noise((64, 64), 90).convert("RGB")


def test_a_student_that_learnt_rows_alone_shows_the_query_with_the_closest_name(trio, picture):
    answerer = QueriesAnswerer("lfi", trio.lfi, trio.teacher)
    [found] = answerer.answer(answerer.encode(answerer.preprocess([picture])), [WORDS])
    for row, address in enumerate(found.addressed):
        torch.testing.assert_close(found.maps.weights[0, :, row], found.queries.weights[0, :, address.query])


@pytest.mark.parametrize("phrases", [(), ("red", "star", "circle")])
def test_both_directions_are_the_queries_by_their_names_times_what_patches_speak_to(trio, both, picture, phrases):
    answerer = QueriesAnswerer("lfi", both, trio.teacher, phrases)
    [maps] = ask(answerer, [picture], [WORDS])
    with torch.no_grad():
        out = both(both.preprocess([picture]))
        queries, patches = both.name(out.queries)[0], both.name(out.patches)[0]
        words, vocabulary = trio.teacher.embed_texts(WORDS), trio.teacher.embed_texts(phrases)

    def share(name, word):
        others = sum((F.cosine_similarity(name, each, dim=0) / 0.05).exp() for each in vocabulary) if phrases else 1
        return (F.cosine_similarity(name, word, dim=0) / 0.05).exp() / others

    for layer in range(len(both.layers)):
        for row, word in enumerate(words):
            looks = sum(share(name, word) * out.attention[0, layer, query] for query, name in enumerate(queries))
            expected = looks * torch.stack([share(name, word) for name in patches])
            torch.testing.assert_close(
                maps.weights[0, layer, row].flatten(), expected / expected.sum(), rtol=1e-4, atol=1e-6
            )


def test_the_mean_of_heads_is_the_map(trio, both, picture):
    answerer = QueriesAnswerer("lfi", both, trio.teacher)
    [alone], [whole] = ask(answerer, [picture], [["star"]], heads=True), ask(answerer, [picture], [["star"]])
    assert alone.queries[0][0] == "star · head 1"
    assert alone.weights.shape[2] == both.queries.heads
    assert whole.weights.shape[2] == 1


def test_evidence_counts_queries_patches_and_the_image(trio, both, picture):
    answerer = QueriesAnswerer("lfi", both, trio.teacher)
    answerer.judges = True
    [found] = answerer.answer(answerer.encode(answerer.preprocess([picture])), [WORDS])
    with torch.no_grad():
        out = both(both.preprocess([picture]))
        words = trio.teacher.embed_texts(WORDS)
        patches = F.normalize(both.name(out.patches)[0], dim=-1)
        whole = F.normalize(out.embedding[0], dim=-1)
    assert found.evidence.shape == (3, 3)
    torch.testing.assert_close(found.evidence[:, 0], torch.tensor([each.nearness for each in found.addressed]))
    torch.testing.assert_close(found.evidence[:, 1], (words @ patches.T / 0.05).logsumexp(1))
    torch.testing.assert_close(found.evidence[:, 2], words @ whole)


def test_columns_alone_are_an_explanation_of_such_a_student(trio, both):
    assert "dense-similarity" in explanations_of(both)
    assert "dense-similarity" not in explanations_of(trio.lfi)
    images, words = torch.randn(1, 3, *both.image_size), trio.teacher.embed_texts(WORDS)
    maps = explain(both, "dense-similarity", images, WORDS, words, heads=False, model="student")
    patches = F.normalize(both.name(both(images).patches)[0], dim=-1)
    expected = (20 * words @ patches.T).softmax(-1)
    torch.testing.assert_close(maps.weights[0, 0].flatten(1), expected, rtol=1e-4, atol=1e-6)


def test_it_is_kept_with_the_student(both, tmp_path):
    both.save(tmp_path / "student.safetensors")
    assert Student.load(tmp_path / "student.safetensors").config.patch_words


def test_patches_cannot_be_named_without_queries():
    with pytest.raises(UnsupportedModelError, match="patches that are named need queries"):
        Student(StudentConfig(queries=0, text_dim=8, embed=True, patch_words=True))
