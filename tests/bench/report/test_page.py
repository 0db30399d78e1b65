"""The page is complete, escaped and self-contained, and its figures are correct."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from qasr.bench import figures
from qasr.bench.errors import ReportError
from qasr.bench.report import print_report, write_report
from qasr.bench.report.files import as_csv
from qasr.bench.report.page import page
from qasr.bench.report.plots import pareto, plots
from qasr.bench.results import read_report

from ..samples import accuracy, full_report, noisy_report, report, row

_VOID = {"meta", "br", "input"}


class Reader(HTMLParser):
    """Collects the texts, tables and links of a page, and checks that its tags are balanced."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.text, self.tables = [], [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in _VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def html():
    return page(full_report())


@pytest.fixture(scope="module")
def reader(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_names_and_failures_are_escaped(html, reader):
    text = "\n".join(reader.text)
    for name in ("fp32", "int8", "<b>&fast", "gone", "killed by SIGSEGV: <oops>"):
        assert name in text
    assert "<oops>" not in html
    assert "<b>&fast" not in html


def test_the_page_loads_nothing_from_a_network(html, reader):
    assert reader.loads == []
    own = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert "http" not in own
    assert "@import" not in own
    assert "url(" not in own


def test_the_main_table(reader):
    heads, *lines = reader.tables[0]
    assert heads[:6] == ["artifact", "MB", "load s", "cold s", "peak MB", "RTF"]
    by_name = {line[0]: dict(zip(heads, line, strict=True)) for line in lines}
    assert set(by_name) == {"fp32", "int8", "<b>&fast"}
    int8 = by_name["int8"]
    # 0.05 s for 2 s of audio; half the baseline's time; 4 edits in 400 tokens, 4 in 400 and 0 in 200 on average.
    assert (int8["RTF"], int8["time"], int8["phonemes %"], int8["levels %"]) == ("0.0250", "0.50 x", "1.00", "0.500")
    assert (int8["MB"], int8["load s"], int8["cold s"], int8["peak MB"]) == ("3.0", "1.00", "5.00", "200")
    assert (int8["p50 ms"], int8["frames %"], int8["target, method"]) == ("50.0", "99.80", "openvino-int8, static")
    assert (int8["differ %"], int8["same %"]) == ("1.00", "97.5")
    assert (by_name["fp32"]["differ %"], by_name["fp32"]["same %"]) == ("", "")
    assert not any("dB" in head for head in heads)


def test_the_scenarios(reader):
    heads, *lines = reader.tables[1]
    cells = [dict(zip(heads, line, strict=True)) for line in lines]
    offline = next(cell for cell in cells if (cell["artifact"], cell["scenario"]) == ("int8", "offline"))
    # 8 clips and 16 s of audio in 0.3 s.
    assert (offline["samples/s"], offline["RTFx"], offline["batch"]) == ("26.7", "53", "8")
    server = next(cell for cell in cells if (cell["artifact"], cell["scenario"]) == ("int8", "server"))
    assert server["queries/s"] == "15.0"


def test_the_worst_recording_is_aligned(html, reader):
    table = next(table for table in reader.tables if table[0][0] == "label")
    assert table[0] == ["label", "ب", "ِ", "س", "−"]
    assert table[1][1:] == ["ب", "ِ", "ص", "−"]
    assert table[2][1:] == ["ب", "−", "س", "[شديد]"]
    assert 'dir="rtl"' in html


def test_environment_and_command(reader):
    text = "\n".join(reader.text)
    assert "qbench 'out/a b' --report r" in text
    assert "Some CPU, 2 cores" in text


def test_the_plots_hold_the_figures(html):
    drawn = plots(full_report())
    assert list(drawn) == [
        "Accuracy against speed",
        "Load time",
        "Peak memory",
        "Latency of single queries",
        "Time by part",
        "Error rate by level, difference from the baseline",
        "Error rate against length of the recording",
        "RTF against length of the clip",
        "Throughput",
    ]
    load = drawn["Load time"]
    assert [trace.name for trace in load.data][:5] == [
        "interpreter", "imports", "reading", "compiling", "first inference",
    ]  # fmt: skip
    assert list(load.data[1].x) == [0.2, 0.2, 0.2]
    assert list(drawn["Throughput"].data[0].x) == pytest.approx([8 / 0.6, 8 / 0.3, 8 / 0.42])
    levels = drawn["Error rate by level, difference from the baseline"].data[0]
    assert levels.z[0][0] == pytest.approx(100 * (4 / 400 - 2 / 400))
    embedded = re.findall(r'<script type="application/json" data-plot="plot\d+">(.*?)</script>', html)
    assert len(embedded) == len(drawn)
    assert json.loads(embedded[0])["data"][0]["type"] == "scatter"


def test_sections_without_data_are_omitted():
    bare = plots(report([row("a", accuracy=None, speeds=[])]))
    assert list(bare) == ["Load time", "Peak memory"]
    assert "<h2>Worst" not in page(report([row("a")]))
    assert "<h2>Failed" not in page(report([row("a")]))


def test_everything_failed():
    gone = row("gone", failure="hangs", processes=[], speeds=[], accuracy=None)
    assert "hangs" in page(report([gone]))


def test_pareto():
    costs = [(1.0, 5.0), (2.0, 4.0), (2.0, 5.0), (3.0, 1.0), (4.0, 1.0), (1.0, 5.0)]
    assert pareto(costs) == [0, 1, 3, 5]
    assert pareto([]) == []


def terminal(stored, width):
    console = Console(file=StringIO(), width=width)
    print_report(stored, console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [120, 170])
def test_the_terminal(width):
    text = terminal(full_report(), width)
    lines = text.splitlines()
    assert max(map(len, lines[:5])) <= width
    int8 = next(line for line in lines if line.startswith("int8"))
    assert "0.0250" in int8
    assert "0.50 x" in int8
    assert "+0.50" in int8
    assert "~" not in int8
    fast = next(line for line in lines if line.startswith("<b>&fast"))
    assert "+0.00 ~" in fast
    assert "gone failed: killed by SIGSEGV: <oops>" in text
    gone = next(line for line in lines if line.startswith("gone "))
    assert gone.split() == ["gone", "failed"]


def test_a_busy_machine_is_reported():
    stored = full_report()
    busy = report(stored.rows, environment=stored.environment.__class__(**{
        name: getattr(stored.environment, name) for name in stored.environment.__struct_fields__ if name != "idle_share"
    }, idle_share=0.6))  # fmt: skip
    assert "other programs used 40 % of its time" in terminal(busy, 160)
    assert "Other programs used 40 % of the machine" in page(busy)


def test_csv():
    lines = list(csv.DictReader(io.StringIO(as_csv(full_report()))))
    assert len(lines) == 3 * 6 + 1
    offline = next(line for line in lines if line["artifact"] == "int8" and line["scenario"] == "offline")
    assert float(offline["samples_per_second"]) == pytest.approx(8 / 0.3)
    assert float(offline["rtf"]) == pytest.approx(0.3 / 16)
    assert float(offline["relative_time"]) == pytest.approx(0.5)
    assert float(offline["latency_p99_seconds"]) == 0.3
    assert float(offline["phonemes_error_rate"]) == 4 / 400
    assert float(offline["first_delta"]) == 0.005
    assert (float(offline["warm_load_seconds"]), float(offline["cold_load_seconds"])) == (1.0, 5.0)
    gone = lines[-1]
    assert (gone["artifact"], gone["failure"], gone["rtf"]) == ("gone", "killed by SIGSEGV: <oops>", "")


def test_written_files(tmp_path):
    stored = full_report()
    paths = write_report(stored, tmp_path / "out")
    assert sorted(path.name for path in paths) == ["report.csv", "report.html", "report.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert read_report(tmp_path / "out" / "report.json") == stored
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="file: the report cannot be written"):
        write_report(stored, tmp_path / "file")


def test_files_that_are_no_report_of_this_version(tmp_path):
    path = tmp_path / "report.json"
    with pytest.raises(ReportError, match=r"report.json: cannot be read \(No such file"):
        read_report(path)
    path.write_text('{"report_version": 99}')
    with pytest.raises(ReportError, match=r"report version 99, and this qasr reads version 2; install a newer qasr"):
        read_report(path)
    path.write_text('{"report_version": 1}')
    with pytest.raises(ReportError, match="report version 1, and this qasr reads version 2; measure again with qbench"):
        read_report(path)
    path.write_text('{"report_version": 2}')
    with pytest.raises(ReportError, match="not a report of qbench"):
        read_report(path)


def test_figures_with_noise():
    """On the page, in the terminal and in the CSV; rows that were not measured with it have empty cells."""
    report = noisy_report()
    reader = Reader()
    reader.feed(page(report))
    heads, *lines = reader.tables[0]
    names = ["10 dB %", "10 dB delta", "10 dB differ %", "10 dB same %"]
    cells = {line[0]: [dict(zip(heads, line, strict=True))[name] for name in names] for line in lines}
    assert cells["int8"] == ["6.00", "+3.00", "1.00", "97.5"]
    assert cells["fp32"] == [""] * 4
    output = StringIO()
    print_report(report, Console(file=output, width=250))
    assert re.search(r"10 dB %\s+10 dB delta\s+10 dB differ %\s+10 dB same %", output.getvalue())
    by_name = {line["artifact"]: line for line in csv.DictReader(io.StringIO(as_csv(report)))}
    assert float(by_name["int8"]["noisy_error_rate"]) == 24 / 400
    assert float(by_name["int8"]["noisy_unchanged"]) == 0.975
    assert by_name["fp32"]["noisy_unchanged"] == ""


def test_figures_of_the_sample():
    """The figures of ``full_report`` that the other tests rely on."""
    int8 = full_report().row("int8")
    assert figures.rtf(int8.speeds[0].queries) == pytest.approx(0.025)
    assert accuracy([1, 2, 1]).first.rate == 4 / 400
    with pytest.raises(ReportError, match="the report has no artifact 'x'; it has fp32, int8"):
        full_report().row("x")
