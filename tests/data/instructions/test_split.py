"""The split: exact or stable counts as asked, nothing in two splits, held-out sources (faults F39, F40, F41)."""

import unicodedata
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.instructions import Split
from tapeout.data.errors import BadRow
from tapeout.data.instructions.question_clusters import UnionFind, grams, jaccard, keys_of, near_pairs
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import digest_of
from tapeout.data.instructions.split import StoredRow, apportioned, split_rows

pytestmark = pytest.mark.environment("data")

WORDS = [a + b + c for a in ("ba", "ko", "ri", "tu") for b in ("lan", "mos", "vep", "dix") for c in ("a", "os", "ium")]


def row(number: int, category: str = "qa", group: str = "", question: str = "", source: str = "core") -> StoredRow:
    question = question or f"{number} " + " ".join(Random(number).choices(WORDS, k=8))
    digest = digest_of(question, str(number))
    return StoredRow(category, group or digest, question, digest, source)


def divide(
    rows: list[StoredRow], report: ImportReport | None = None, held_out: tuple[str, ...] = (), **options: object
) -> tuple[dict[str, list[StoredRow]], dict[str, int]]:
    keys = {row.question: keys_of(row.question) for row in rows}
    return split_rows(rows, keys, Split.model_validate(options), held_out, report or ImportReport("stop"))


def split(rows: list[StoredRow], **options: object) -> dict[str, str]:
    """Split of each row, by digest."""
    splits, _ = divide(rows, **options)
    assert sum(map(len, splits.values())) == len({row.digest for row in rows})
    return {row.digest: part for part, members in splits.items() for row in members}


def test_exact_counts_are_those_of_the_original_in_every_category() -> None:
    names = ["open_qa", "general_qa", "classification", "closed_qa", "brainstorming", "extraction", "writing", "other"]
    draw = Random(5)
    rows = [row(number, draw.choices(names, [25, 15, 14, 12, 12, 10, 9, 3])[0]) for number in range(15_011)]
    splits, figures = divide(rows, counts="exact", near_duplicates=1)
    assert {part: len(members) for part, members in splits.items()} == {
        "train": 12_008,
        "validation": 2_252,
        "test": 751,
    }
    assert figures["clusters"] == 15_011
    for name, count in Counter(row.category for row in rows).items():
        for part, share in (("train", 0.8), ("validation", 0.15), ("test", 0.05)):
            assert abs(sum(row.category == name for row in splits[part]) - share * count) <= 2
    stable, _ = divide(rows, near_duplicates=1)
    assert abs(len(stable["train"]) - 12_008) < 200 and abs(len(stable["test"]) - 751) < 100


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sets(st.integers(0, 500), min_size=2, max_size=80), st.sets(st.integers(501, 900), max_size=40), st.randoms())
def test_insertion_deletion_and_order_do_not_move_rows(some: set[int], more: set[int], random: Random) -> None:
    before = split([row(number) for number in sorted(some)])
    rows = [row(number) for number in some | more]
    random.shuffle(rows)
    after = split(rows)
    assert {digest: after[digest] for digest in before} == before


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(100, 400), st.integers(1, 5), st.integers(0, 9))
def test_exact_counts_move_few_rows(count: int, more: int, seed: int) -> None:
    rows = [row(number, f"c{number % 3}") for number in range(count + more)]
    before, after = (split(part, counts="exact", seed=seed) for part in (rows[:count], rows))
    moved = sum(after[digest] != part for digest, part in before.items())
    assert moved <= 2 * (more + 3)
    assert Counter(after.values())["train"] == int((count + more) * 0.8 + 1e-9)


def test_groups_and_near_duplicates_share_a_split() -> None:
    question = "Describe in a few words how a phase locked loop keeps its output in step with a reference clock"
    near = [row(number, question=f"{question}{end}") for number, end in enumerate((".", "?", " please", ""), start=900)]
    equal = [row(800, question="What is a latch?"), row(801, question="What is a latch?")]
    grouped = [row(number, group=f"group {number // 10}") for number in range(300)]
    for seed in range(8):
        for counts in ("stable", "exact"):
            splits = split([*near, *equal, *grouped], seed=seed, counts=counts)
            for members in (near, equal, *(grouped[start : start + 10] for start in range(0, 300, 10))):
                assert len({splits[member.digest] for member in members}) == 1
    _, figures = divide([*near, *equal])
    assert figures == {"clusters": 2, "groups joined by near-duplicates": 4, "rows in the largest cluster": 4}
    apart, _ = divide([*near, *equal], near_duplicates=1)
    assert sum(map(len, apart.values())) == 6


@pytest.mark.parametrize(
    ("question", "same"),
    [
        ("반도체 검증에서 클럭 도메인 교차", unicodedata.normalize("NFD", "반도체 검증에서 클럭 도메인 교차")),
        ("Wie groß für é à ô", unicodedata.normalize("NFD", "WIE GROSS FÜR É À Ô")),
        ("what is a clock", "ｗｈａｔ\u3000ｉｓ\u3000ａ\u3000ｃｌｏｃｋ"),
        ("what is a profile", "wh\u00adat is\u200b a pro\ufb01le"),
    ],
)
def test_a_question_in_two_unicode_forms_is_one(question: str, same: str) -> None:
    assert np.array_equal(grams(question), grams(same))
    rows = [row(900, question=question), row(901, question=same)]
    assert all(len(set(split(rows, seed=seed).values())) == 1 for seed in range(20))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_a_near_duplicate_moves_only_what_it_is_near_to(random: Random) -> None:
    rows = [row(number) for number in range(60)]
    before = split(rows)
    twin = row(1000, question=rows[7].question + "x")
    assert jaccard(grams(twin.question), grams(rows[7].question)) >= 0.8
    rows.insert(random.randrange(60), twin)
    after = split(rows)
    assert after[twin.digest] == after[rows[[other.question for other in rows].index(twin.question[:-1])].digest]
    near = {other.digest for other in rows if other.question == twin.question[:-1]}
    assert {digest: part for digest, part in before.items() if digest not in near} == {
        digest: part for digest, part in after.items() if digest not in {*near, twin.digest}
    }


def test_equal_rows_are_dropped_and_counted() -> None:
    report = ImportReport("stop")
    splits, _ = divide([row(1), row(2), row(1), row(3)], report)
    assert sum(map(len, splits.values())) == 3 and report.dropped == {"row equal to another": 1}
    # or kept, then in one split, and the counts are exact nevertheless
    rows = [row(number // 2 if number < 40 else number) for number in range(200)]
    Random(3).shuffle(rows)
    splits, _ = divide(rows, equal_rows="keep", counts="exact")
    assert [len(members) for members in splits.values()] == [160, 30, 10]
    digests = [{member.digest for member in members} for members in splits.values()]
    assert sum(map(len, digests)) == len(set().union(*digests)) == 180


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1), st.data())
def test_apportioning_distributes_all_seats_and_no_more_than_there_are(
    sizes: dict[str, int], data: st.DataObject
) -> None:
    seats = data.draw(st.integers(0, sum(sizes.values())))
    first = apportioned(Counter(sizes), seats, Counter())
    rest = data.draw(st.integers(0, sum(sizes.values()) - seats))
    second = apportioned(Counter(sizes), rest, first)
    assert first.total() == seats and second.total() == rest
    assert all(0 <= first[name] + second[name] <= size for name, size in sizes.items())


def test_jaccard_is_of_runs_of_five() -> None:
    assert jaccard(grams("abcdef"), grams("ABCDEF!")) == 1
    assert jaccard(grams("abcdef"), grams("abcdeg")) == pytest.approx(1 / 3)
    assert len(grams("")) == len(grams("ab")) == 1


HELD = [row(number, group=f"held {number % 3}", source="held") for number in range(1000, 1009)]


def test_held_out_sources_give_the_test_rows_and_are_kept_out_of_training() -> None:
    rows = [row(number, group=f"group {number // 3}") for number in range(600)]
    report = ImportReport("stop")
    options = {"validation": 0.2, "test": 0, "near_duplicates": 1}
    splits, _ = divide([*rows, *HELD], report, ("held",), **options)
    assert set(splits["test"]) == set(HELD) and not report.dropped
    assert 60 < len(splits["validation"]) < 180
    groups = {name: {member.group for member in members} for name, members in splits.items()}
    assert not groups["train"] & groups["validation"]
    # a training group, and a training question, that a held-out source has too
    shared = [row(2000, group="held 1"), row(2001, question=HELD[0].question)]
    after, _ = divide([*rows, *HELD, *shared], report, ("held",), **options)
    assert after == splits
    assert report.dropped == {"group or question of a held-out source": 2}


def test_conflicting_rows_stop_if_asked() -> None:
    rows = [row(1, question="What is a latch?"), row(2, question="What is a latch?")]
    assert len(set(split(rows).values())) == 1
    with pytest.raises(BadRow, match="different answers"):
        split(rows, conflicting_rows="stop")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.sampled_from([*"abAB .é\n"]), max_size=30), min_size=1, max_size=8))
def test_near_pairs_are_near_and_equal_words_are_found(texts: list[str]) -> None:
    texts = [*texts, f"{texts[0]} !", texts[0].upper()]
    joined = UnionFind(len(texts))
    pairs = list(near_pairs(texts, np.stack([keys_of(text) for text in texts]), 0.8, joined))
    assert all(jaccard(grams(texts[one]), grams(texts[other])) >= 0.8 for one, other in pairs)
    for one, other in pairs:
        joined.join(one, other)
    if texts[0].isascii():
        assert joined.find(len(texts) - 1) == joined.find(0) == joined.find(len(texts) - 2)


def test_thousands_of_questions_of_one_pattern_are_compared_in_linear_time() -> None:
    class Counted(UnionFind):
        calls = 0

        def find(self, member: int) -> int:
            Counted.calls += 1
            return super().find(member)

    texts = [
        f"How wide is the port data_{number:04d} of the module that this header declares?" for number in range(800)
    ]
    joined = Counted(len(texts))
    for one, other in near_pairs(texts, np.stack([keys_of(text) for text in texts]), 0.8, joined):
        joined.join(one, other)
    assert len({joined.find(number) for number in range(len(texts))}) == 1
    assert Counted.calls < 100 * len(texts)  # pair by pair it would be thousands of times


def test_groups_with_an_equal_row_share_a_split_though_the_row_is_dropped() -> None:
    rows = [row(number, group=f"g{number % 40}") for number in range(200)]
    bridges = [row(number)._replace(group=f"g{(number + 1) % 40}") for number in range(39)]
    report = ImportReport("stop")
    splits, figures = divide([*rows, *bridges], report, near_duplicates=1, counts="exact")
    assert figures["clusters"] == 1 and report.dropped == {"row equal to another": 39} and len(splits["train"]) == 200
