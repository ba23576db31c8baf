"""Tables in the form of a paper's: measured next to published, never ranked together."""

import json
from dataclasses import replace

import pytest
from fakes.boards import DATA, record, timing
from fakes.calls import bench

from bench import suites
from bench.errors import SuiteError
from bench.leaderboard import files, published
from bench.leaderboard.papers import paper_tables
from bench.leaderboard.render import papers
from bench.records import Snapshot, Store

TEXT = """
title = "Two networks"
models = ["slim", "wide"]
datasets = ["musan-1s", "musan-2s"]
[model.slim]
model = "swishnet"
[model.wide]
model = "swishnet-wide"
[dataset.musan-1s]
dataset = "musan"
clip_seconds = 1.0
[dataset.musan-2s]
dataset = "musan"
clip_seconds = 2.0
[[layout]]
title = "Accuracy & SNS"
source = "the paper, Table 2"
columns = ["dataset"]
metrics = ["accuracy", "sns"]
differs = ["Other*files."]
citation = "Hussain & Haque"
labels = {musan-1s = "1 s", musan-2s = "2 s", slim = "SwishNet-slim"}
published = {slim = "SwishNet-slim", wide = "SwishNet-wide"}
protocols = {musan-1s = "1.0 s clips", musan-2s = "2.0 s clips"}
[[layout]]
title = "Sizes"
datasets = ["musan-2s"]
metrics = ["parameters", "macs", "cpu_ms.onnxruntime", "recall.speech", "train_seconds"]
"""
WHOLE = replace(DATA, clips_available=2016, clips_official=2016)
PART = replace(DATA, clips_available=60, clips_official=2016)


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TEXT)
    return suites.read(str(path))


def typed(text):
    """Return text with the signs of a keyboard for a minus and for what is not measured."""
    return text.replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "none")


def tables(suite, found):
    return paper_tables(suite, files.boards({each.key: each for each in found}, suite))


def done(suite, dataset, system, data=WHOLE, **changes):
    names, datasets = suite.names(), suite.dataset_names()
    (of,) = (run for run in suite.runs() if (datasets[run.key], names[run.key]) == (dataset, system))
    scores = {"scores": {"accuracy": 0.98, "sns": 0.99}, "intervals": {"accuracy": (0.975, 0.985)}} | changes
    return record(of, 0.98, data=data, **scores)


def test_without_records_a_table_shows_what_is_published(suite):
    first, second = tables(suite, [])
    assert first.axes == ("system",)
    assert first.columns == (("1 s", "accuracy, %"), ("1 s", "SNS, %"), ("2 s", "accuracy, %"), ("2 s", "SNS, %"))
    assert first.names == (("SwishNet-slim",), ("wide",))
    assert [cell.published for cell in first.cells[0]] == [0.982, 0.996, 0.9841, 0.9976]  # Table II
    assert {cell.value for cell in first.cells[0]} == {None}
    assert dict(first.facts)["coverage"] == "1 s: not measured; 2 s: not measured"
    assert [cell.published for cell in second.cells[1]][:2] == [18_267, None]  # the paper has no multiply-adds
    assert typed(papers.text(second.cells[1][0])) == "none † 18,267"


def test_a_cell_has_the_interval_and_the_difference(suite):
    first, _ = tables(suite, [done(suite, "musan-2s", "slim")])
    accuracy, sns = first.cells[0][2:]
    assert accuracy.interval == (0.975, 0.985)
    assert sns.interval is None
    assert accuracy.difference == pytest.approx(0.98 - 0.9841)
    assert accuracy.comparable
    assert typed(papers.text(accuracy)) == "98.0 [97.5, 98.5] † 98.41 (-0.4)"
    assert typed(papers.text(sns)) == "99.0 † 99.76 (-0.8)"
    assert dict(first.facts)["coverage"] == "1 s: not measured; 2 s: all 2,016 clips"
    assert dict(first.facts)["runs"] == "1 of 4 done, folds first, 1 seed(s)"


def test_a_part_of_the_clips_is_not_comparable(suite):
    first, _ = tables(suite, [done(suite, "musan-2s", "slim", PART)])
    assert not first.cells[0][2].comparable
    assert typed(papers.text(first.cells[0][2])).endswith("(-0.4?)")
    assert "2 s: 60 of 2,016 clips: not comparable" in dict(first.facts)["coverage"]


def test_figures_of_another_dataset_have_no_difference(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        'models = ["cnn14"]\ndatasets = ["esc10"]\n[[layout]]\ntitle = "ESC"\npublished = {cnn14 = "PANNs CNN14"}\n'
        'published_dataset = "ESC-50"\nprotocols = {esc10 = "5-fold CV, from scratch"}\n'
    )
    suite = suites.read(str(path))
    (found,) = tables(suite, [record(suite.runs()[0], 0.9)])
    cell = found.cells[0][0]
    assert (cell.value, cell.published, cell.difference, cell.comparable) == (0.9, 0.833, None, False)
    words = dict(found.facts)["what differs from the paper's protocol"]
    assert words == "The published figures are of ESC-50; esc10 was measured."


def test_backends_recalls_and_sizes_are_shown(suite):
    other = timing(3.0, backend="onnxruntime")
    of_classes = {"classes": ("music", "noise", "speech"), "per_class": {"macro_recall": (0.5, 0.6, 0.875)}}
    found = [done(suite, "musan-2s", "slim", latencies=(timing(9.0), other), **of_classes)]
    cells = tables(suite, found)[1].cells[0]
    assert [typed(papers.text(cell)) for cell in cells][2:4] == ["3.00", "87.5"]
    assert typed(papers.text(cells[0])) == "54,912,345 † 5,483 (+54,906,862)"
    assert typed(papers.text(cells[1])) == "47.130e9"


OF_RUNS = """
models = ["cnn", "fc"]
datasets = ["esc10"]
seeds = [0, 1]
[[layout]]
title = "Confusions"
form = "confusion"
labels = {cnn = "CNN"}
[[layout]]
title = "Curves"
form = "curves"
labels = {cnn = "CNN", val_loss = "validation loss"}
"""


@pytest.fixture
def of_runs(tmp_path):
    path = tmp_path / "of_runs.toml"
    path.write_text(OF_RUNS)
    return suites.read(str(path))


def with_runs(suite):
    first, second = (run for run in suite.runs() if run.model == "cnn")
    longer = {"val_loss": (2.0, 1.0, 0.5), "val_accuracy": (0.5, 0.7, 0.9)}
    shorter = {"val_loss": (1.0, 0.5), "val_accuracy": (0.3, 0.5)}
    classes = ("dog", "rain")
    return [
        record(first, classes=classes, confusion=((3, 1), (0, 2)), curves=longer),
        record(second, classes=classes, confusion=((3, 1), (2, 0)), curves=shorter),
    ]


def test_confusions_sum_to_one_for_each_true_class(of_runs):
    confusions, _ = tables(of_runs, with_runs(of_runs))
    assert confusions.axes == ("system", "true class")
    assert confusions.columns == (("dog",), ("rain",))
    assert confusions.names == (("CNN", "dog"), ("CNN", "rain"))
    assert [[cell.value for cell in row] for row in confusions.cells] == [[0.75, 0.25], [0.5, 0.5]]
    assert papers.text(confusions.cells[0][0]) == "75.0"
    assert dict(confusions.facts)["runs"] == "2 of 4 done, folds first, 2 seed(s)"


def test_learning_curves_are_means_over_the_runs(of_runs):
    _, curves = tables(of_runs, with_runs(of_runs))
    assert curves.columns == (("epoch 1",), ("epoch 2",))  # the second run has no third one
    assert curves.names == (("CNN", "val_accuracy"), ("CNN", "validation loss"))
    values = [[cell.value for cell in row] for row in curves.cells]
    assert values == [[pytest.approx(0.4), pytest.approx(0.6)], [1.5, 0.75]]
    assert [papers.text(cell) for cell in curves.cells[0]] == ["40.0", "60.0"]
    assert curves.curves[1] == ("CNN: validation loss", (1.5, 0.75))
    assert "- CNN: validation loss: █▁" in papers.markdown([curves])
    assert papers.html([curves]).count("<svg") == 2
    assert papers.json_value([curves])[0]["curves"]["CNN: validation loss"] == [1.5, 0.75]


def test_without_records_there_are_no_curves_and_confusions(of_runs):
    for found in paper_tables(of_runs, ()):
        assert found.cells == ()
        assert dict(found.facts)["coverage"] == "esc10: not measured"
        assert "esc10: not measured" in papers.html([found])


COMBINED = """
models = ["cnn", "fc", "ltc", "fusion-average", "fusion-ds"]
datasets = ["synthetic"]
seeds = [0, 1]
fusion_combinations = true
[[layout]]
title = "Combinations"
rows = ["members"]
columns = ["system"]
marks = true
systems = ["fusion-average", "fusion-ds"]
labels = {fusion-average = "WA", fusion-ds = "D-S", cnn = "CNN"}
"""


def test_combinations_have_a_mark_for_each_member(tmp_path):
    path = tmp_path / "combined.toml"
    path.write_text(COMBINED)
    (found,) = paper_tables(suites.read(str(path)), ())
    assert found.axes == ("CNN", "fc", "ltc")
    assert found.columns == (("WA",), ("D-S",))
    assert found.names == (("✓", "✓", ""), ("✓", "", "✓"), ("", "✓", "✓"), ("✓", "✓", "✓"))
    assert all(cell for row in found.cells for cell in row)
    path.write_text(COMBINED.replace("marks = true\n", ""))
    (found,) = paper_tables(suites.read(str(path)), ())
    assert found.names[0] == ("CNN + fc",)


def test_axes_are_arguments_and_values_of_the_recipe(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        'models = ["a", "b", "c", "d"]\ndatasets = ["synthetic"]\n[[layout]]\ntitle = "Grid"\n'
        'rows = ["arguments.layers"]\ncolumns = ["recipe.batch_size"]\n[model]\n'
        + "".join(
            f'{name} = {{model = "lstm-skip", layers = {layers}, recipe.batch_size = {size}}}\n'
            for name, layers, size in (("a", 1, 16), ("b", 1, 32), ("c", 2, 16), ("d", 2, 64))
        )
    )
    (found,) = paper_tables(suites.read(str(path)), ())
    assert (found.axes, found.columns, found.names) == (("layers",), (("16",), ("32",), ("64",)), (("1",), ("2",)))
    assert [cell is None for cell in found.cells[1]] == [False, True, False]


def test_two_systems_in_one_cell_are_refused(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text('models = ["cnn", "fc"]\ndatasets = ["synthetic"]\n[[layout]]\ntitle = "T"\nrows = ["dataset"]\n')
    with pytest.raises(SuiteError, match="has cnn and fc in one cell: add an axis"):
        paper_tables(suites.read(str(path)), ())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('rows = ["sistem"]', "has no axis 'sistem'; did you mean 'system'"),
        ('rows = ["recipe.batchsize"]', "has no axis .*; did you mean 'batch_size'"),
        ('metrics = ["acuracy"]', "no metric is called 'acuracy'. Did you mean 'accuracy'"),
        ('metrics = ["cpu_ms.onnx"]', "no backend is called 'onnx'"),
        ('systems = ["cn"]', "names the system 'cn'; did you mean 'cnn'"),
        ('datasets = ["esc10"]', "names the dataset 'esc10'"),
        ("rows = []", "has no rows"),
        ('form = "curve"', "form"),
        (
            'form = "curves"\nmetrics = ["accuracy"]',
            "has the form 'curves', which takes no rows, columns, metrics and marks",
        ),
        ("colums = []", "unknown key"),
    ],
)
def test_a_mistake_in_a_layout_is_explained(tmp_path, line, words):
    path = tmp_path / "wrong.toml"
    path.write_text(f'models = ["cnn"]\ndatasets = ["synthetic"]\n[[layout]]\ntitle = "T"\n{line}\n')
    with pytest.raises(SuiteError, match=words):
        suites.read(str(path))


@pytest.mark.parametrize("name", [name for name in suites.suites() if suites.tiers_of(name)])
def test_every_table_of_the_papers_is_drawn(name):
    for tier in ("", "quick"):
        suite = suites.read(name, tier=tier)
        found = paper_tables(suite, ())
        assert found
        assert all(any(cell for cell in row) for each in found for row in each.cells)


def test_every_published_name_of_the_suites_has_a_figure():
    """So that no cell is empty because of a misspelling."""
    empty = []
    for name in suites.suites():
        suite = suites.read(name)
        labels: dict[str, str] = {}
        for layout, table in zip(suite.layout, paper_tables(suite, ()), strict=True):
            labels = layout.labels | labels
            words = {system: (labels | layout.labels).get(system, system) for system in layout.published}
            for system, word in words.items():
                cells = [row for names, row in zip(table.names, table.cells, strict=True) if word in names]
                if not any(cell and cell.published is not None for row in cells for cell in row):
                    empty.append((name, layout.title, system))
    assert empty == []


def test_pages_show_the_papers_tables_first_and_rank_nothing_in_them(suite, tmp_path):
    store = Store(tmp_path / "runs")
    store.write(done(suite, "musan-2s", "slim"))
    files.draw(Snapshot(store, suite.runs()), suite)
    page = typed((store.root / "two.md").read_text())
    assert page.index("## Accuracy &amp; SNS") < page.index("## musan (clip_seconds=1.0)")
    paper = page[page.index("## Accuracy") : page.index("## Sizes")]
    assert (
        "| SwishNet-slim | none † 98.2 | none † 99.6 | 98.0 [97.5, 98.5] † 98.41 (-0.4) | 99.0 † 99.76 (-0.8) |"
        in paper
    )
    assert "rank |" not in paper
    assert "Other\\*files." in paper
    html = typed((store.root / "two.html").read_text())
    assert html.index("<h2>Accuracy &amp; SNS</h2>") < html.index(">musan (clip_seconds=1.0)</h2>")
    assert ">98.0 [97.5, 98.5] † 98.41 (-0.4)</td>" in html


def test_the_command_prints_markdown_html_latex_and_json(suite, tmp_path):
    store = Store(tmp_path / "runs")
    store.write(done(suite, "musan-2s", "slim"))
    where = ("table", tmp_path / "two.toml", "--store", store.root)
    assert "| SwishNet-slim | none † 98.2 |" in typed(bench(*where).out)
    assert "<td" in bench(*where, "--html").out
    latex = bench(*where, "--latex").out
    assert r"\caption{Accuracy \& SNS}" in latex
    assert r"\begin{tabular}{lrrrr}" in latex
    assert r"98.0 [97.5, 98.5] \dag{} 98.41 ($-$0.4) & 99.0 \dag{} 99.76 ($-$0.8) \\" in latex
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 2
    content = json.loads(bench(*where, "--json").out)
    assert content[0]["rows"][0]["cells"][2]["published"] == 0.9841
    assert bench(*where, "--out", tmp_path / "t.tex", "--latex").code == 0
    assert (tmp_path / "t.tex").read_text().strip() == latex.strip()
    refused = bench(*where, "--latex", "--html")
    assert (refused.code, "choose one" in refused.err) == (2, True)
    none = bench("table", "smoke")
    assert (none.code, "has no tables in the form of a paper's" in none.words) == (2, True)


def test_figures_are_found_by_model_dataset_metric_and_protocol():
    found = published.find(model="GRU", dataset="MUSAN", metric="accuracy", protocol="2.0 s")
    assert found is not None
    assert (found.value, found.params) == (0.985, 8387)
    assert published.find(model="GRU", dataset="MUSAN", metric="accuracy", protocol="3 s") is None
    size = published.size("rann-8x4-6")
    assert size is not None
    assert size.parameters == 54_919_313
