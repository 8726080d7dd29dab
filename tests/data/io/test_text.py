"""Bytes become the text that was meant, or are left out with a reason; texts that are no RTL are recognized."""

from collections import Counter
from random import Random

import pytest

from tapeout.config.corpus import Selection
from tapeout.data.io.recognition import reason_against
from tapeout.data.io.text import decode, usable_text

pytestmark = pytest.mark.environment("data")

COMMENTS = {
    "gbk": [
        "时钟输入",
        "计数器模块，复位后清零",
        "状态机：空闲、读取、写入",
        "作者：张伟  版权所有",
        "按键消抖",
        "组合逻辑",
        "输出",
    ],
    "gb18030": ["数据总线宽度", "这是一个简单的UART发送模块，波特率9600"],
    "big5": ["時脈輸入", "計數器模組，重置後清零", "資料匯流排寬度", "非同步重置"],
    "shift_jis": [
        "クロック入力",
        "カウンタをリセットする",
        "非同期リセット（負論理）",
        "波形検証",
        "出力",
        "著作権　株式会社",
    ],
    "euc_jp": ["クロック入力", "受信バッファが空でないとき１になる", "状態遷移", "出力"],
    "iso2022_jp": ["クロック入力", "状態遷移"],
    "euc_kr": ["클럭 입력", "카운터 모듈, 리셋 시 초기화", "작성자: 홍길동", "상승 에지에서 동작", "출력"],
    "cp1252": [
        "Zähler für die Übertragung",
        "été réinitialisé par l’horloge",
        "© 2010 Müller",
        "50 µs ± 5°",
        "“a” – b…",
    ],
    "latin-1": ["señal de reloj", "relógio de saída não usado", "signalets længde på ø", "façade", "«\xa0début\xa0»"],
    "cp1251": ["счётчик тактов", "Сброс регистра по фронту", "Автор: Иванов И.И."],
    "koi8_r": ["счётчик тактов", "Сброс регистра по фронту"],
    "koi8_u": ["Сигнал годинника і скидання їх"],
    "cp1250": ["čítač hodinových impulsů", "příliš žluťoučký kůň"],
    "utf-16-le": ["clock", "时钟 é"],
    "utf-16-be": ["clock", "时钟 é"],
    "utf-16": ["时钟 é"],
    "utf-32": ["时钟 é"],
    "utf-8-sig": ["时钟 é"],
}
BODY = "module m (input clk, output reg [7:0] q);\n  // {}\n  always @(posedge clk) q <= q + 1;\nendmodule\n"


@pytest.mark.parametrize(
    ("codec", "comment"), [(codec, comment) for codec, comments in COMMENTS.items() for comment in comments]
)
def test_encodings_are_decoded(codec: str, comment: str) -> None:
    repaired = Counter[str]()
    text = BODY.format(comment)
    assert decode(text.encode(codec), repaired) == (text, "") and repaired.total() == 1


@pytest.mark.parametrize("codec", COMMENTS)
def test_several_comments_are_decoded_together(codec: str) -> None:
    text = BODY.format("\n  // ".join(COMMENTS[codec]))
    assert decode(text.encode(codec), Counter()) == (text, "")


UNCERTAIN = {
    "cp437": "für Größe résumé",
    "mac_roman": "für Größe résumé",
    "cp1253": "ρολόι εισόδου και έξοδος",
    "cp1255": "שעון כניסה",
    "cp1256": "ساعة الإدخال",
    "cp874": "สัญญาณนาฬิกา",
    "cp866": "счетчик тактов",
    "mac_cyrillic": "Этот сигнал сброса",
    "gbk": "秒",
    "cp1250": "Autor: Paweł",
    "iso8859_2": "tekst ma być",
    "cp850": "50 µs",
}


@pytest.mark.parametrize("codec", UNCERTAIN)
def test_an_encoding_that_is_not_certain_is_no_mojibake(codec: str) -> None:
    assert decode(BODY.format(UNCERTAIN[codec]).encode(codec), Counter()) == ("", "unknown encoding")


def test_lines_in_two_encodings() -> None:
    repaired = Counter[str]()
    lines = ["// Größe".encode(), b"module m;", "// für Jürgen".encode("cp1252"), "// 时钟".encode(), b"endmodule"]
    text = "// Größe\nmodule m;\n// für Jürgen\n// 时钟\nendmodule"
    assert decode(b"\n".join(lines), repaired) == (text, "")
    assert repaired == {"not UTF-8, read as Windows-1252 in some lines": 1}


def test_chinese_in_hz_is_decoded_and_verilog_is_not() -> None:
    for comment in COMMENTS["gbk"]:
        text, repaired = BODY.format(comment).replace("q + 1", "~q"), Counter[str]()
        for content in (text.encode("hz"), text.encode("hz").replace(b"~~q", b"~q")):
            assert decode(content, repaired) == (text, "")
        assert repaired == {"not UTF-8, read as HZ": 2}
    code = b"assign a = ~{b,c} | ~{d}; // ~{abcd~} ~{!!~}"
    assert decode(code, Counter()) == (code.decode(), "")


@pytest.mark.parametrize("codec", ["cp1252", "latin-1"])
def test_utf8_that_was_encoded_twice_is_encoded_once(codec: str) -> None:
    texts = [BODY.format(comment) for comments in COMMENTS.values() for comment in comments]
    for text in [*texts, BODY.format("MAÇÃ”, Ã, ½ Å")]:
        repaired, twice = Counter[str](), text
        assert usable_text("a.v", text.encode(), Selection(include=("*",)), repaired) == (text, "")
        for _ in range(2):
            # of the bytes that Windows-1252 leaves open it reads each as the control character of that code
            twice = "".join(bytes([b]).decode(codec, "ignore") or chr(b) for b in twice.encode())
            assert usable_text("a.v", twice, Selection(include=("*",)), repaired) == (text, "")
        assert repaired == ({} if twice == text else {"UTF-8 encoded twice": 2})
    mixed = BODY.format("Ã© is é")
    assert usable_text("a.v", mixed, Selection(include=("*",)), Counter()) == (mixed, "")


def test_bytes_that_are_no_text() -> None:
    random = Random(7)
    reasons = Counter[str]()
    for size in (100, 1000, 5000):
        for _ in range(20):
            content = random.randbytes(size)
            for variant in (content, content.replace(b"\0", b"")):
                text, reason = decode(variant, Counter())
                assert text == ""
                reasons[reason] += 1
    assert reasons == {"binary": 120}


CELLS = "".join(f"  NAND2_X1 U{n} ( .A1(n{n}), .A2(n{n + 1}), .ZN(n{n + 2}) );\n" for n in range(12))
SKY = "".join(f"  sky130_fd_sc_hd__inv_1 _{n:03}_ (\n    .A(_{n}_),\n    .Y(_{n + 1}_)\n  );\n" for n in range(12))
GATES = "".join(f"nand NAND2_{n} (N{n}, N{n + 1}, N{n + 2});\n" for n in range(12))
FPGA = "".join(f"  LUT{n % 6 + 1} #(.INIT(2'h1)) \\q[{n}]_i_1 (.I0(a[{n}]), .O(n_0_{n}));\n" for n in range(12))
RTL = "".join(f"  fifo #(.W({n})) u_fifo_{n} (.clk(clk), .d(d[{n}]), .q(q[{n}]));\n" for n in range(12))
PADS = "".join(f"  CKND2BWP I{n} (.I(signal[{n}]), .ZN(signal[{n + 1}]));\n" for n in range(12))
VHDL = "library ieee;\nuse ieee.std_logic_1164.all;\nentity a is\nend a;\narchitecture rtl of a is\nbegin\nend rtl;\n"
RECOGNIZED = [
    ("a.v", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer"),
    ("a.md", "version https://hawser.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "Git LFS pointer"),
    ("a.bin", "/annex/objects/SHA256E-s1--abc.bin\n", "Git LFS pointer"),
    ("a.md", "A file `version https://git-lfs.github.com/spec/v1` is a pointer.\noid sha256:1", ""),
    (
        "a.sv",
        "`pragma protect begin_protected\n`pragma protect data_block\nAAAA\n`pragma protect end_protected",
        "encrypted",
    ),
    ("a.v", "module m(a);\n`protected\nAB$#@\n`endprotected\nendmodule\n", "encrypted"),
    ("a.v", "`protect\nmodule m; endmodule\n`endprotect\n", "encrypted"),
    ("a.vhd", "`protect begin_protected\n`protect data_block\n", "encrypted"),
    ("a.v", "//pragma protect begin_protected\n//pragma protect data_block\nabc", "encrypted"),
    ("a.sv", "// how to protect\nclass a;\n  protected int x;\nendclass\n", ""),
    ("a.md", "Write\n\n    `pragma protect begin\n", ""),
    ("a.v", "Require Import List.\n", "Coq, not Verilog"),
    ("a.v", "(* module *)\nFixpoint f (n : nat) : nat :=\n  match n with\n  | 0 => 0\n  end.\n", "Coq, not Verilog"),
    ("a.v", "<!DOCTYPE html>\n<html><body>404: Not Found</body></html>\n", "markup, not Verilog"),
    ("a.sv", '\n<?xml version="1.0"?>\n<a>endmodule</a>\n', "markup, not Verilog"),
    ("a.v", "%PDF-1.4\n1 0 obj\nendobj\n", "markup, not Verilog"),
    ("a.md", "<html>A page.</html>\n", ""),
    ("a.v", "Lemma x : 1 = 1.\nProof. auto. Qed.\n", "Coq, not Verilog"),
    ("a.v", "/*\nDefinition of the bus.\nRecord of changes.\n*/\n`define X 1\n", ""),
    ("a.vh", "localparam A = 1; // Set A.\n", ""),
    ("a.v", VHDL, "VHDL, not Verilog"),
    ("a.vhd", VHDL, ""),
    ("a.v", f"{VHDL}-- like module and endmodule\n", "VHDL, not Verilog"),
    ("a.vh", f"/*\n{VHDL}*/\nparameter W = 8;\n", ""),
    ("a.v", '(* Such a\nfunction is total *)\nDefinition x := "endmodule".\n', "Coq, not Verilog"),
    ("a.v", "module m\n\npub struct S {\n\ta int\n}\n", "V, not Verilog"),
    ("a.md", "\nversion https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "Git LFS pointer"),
    ("a.v", "module main\n\nfn main() {\n\tprintln('hi')\n}\n", "V, not Verilog"),
    *[("a.v", f"module m(input a);\n{cells}endmodule\n", "generated netlist") for cells in (CELLS, SKY, GATES, FPGA)],
    *[("a.v", f"module m(input a);\n{cells}endmodule\n", "") for cells in (RTL, PADS)],
    ("a.v", f"module m(input a);\n{RTL * 9}{CELLS}endmodule\n", ""),
    *[
        ("a.v", f"// {head}\nmodule h(input a, b, output s, c);\nxor (s, a, b);\nand (c, a, b);\nendmodule\n", reason)
        for head, reason in (
            ("Tool Versions: Vivado 2019.1", ""),
            ("if we encounter 1", ""),
            ("Generated by Cadence Genus(TM)", "generated netlist"),
            ('PROGRAM "Quartus Prime"', "generated netlist"),
        )
    ],
    ("a.v", '(* src = "a.v:1" *)\nmodule m(a);\n  assign a = 1;\nendmodule\n', "generated netlist"),
    ("a.v", "module \\$paramod\\fifo\\DEPTH=8 (input clk);\nendmodule\n", "generated netlist"),
    ("a.v", "// Generated by Yosys 0.9\nmodule m(a);\n  INVX1 _1_ (.A(a), .Y(b));\nendmodule\n", "generated netlist"),
    ("a.v", "// Generated by Yosys 0.9\nmodule m(a);\n  always @* a = 1;\nendmodule\n", ""),
    ("a.v", "module \\$_AND_ (A, B, Y);\n  input A, B;\n  output Y;\n  assign Y = A & B;\nendmodule\n", ""),
    ("a.js", "var a=1;" * 2000, "minified"),
    ("a.v", f"module m(input a);\nwire y = {'a ^ ' * 5000}1;\nendmodule\n", ""),
    ("a.jsonl", "A long paragraph. " * 2000, ""),
]


@pytest.mark.parametrize(("path", "text", "reason"), RECOGNIZED)
def test_texts_are_recognized(path: str, text: str, reason: str) -> None:
    assert reason_against(path, text, netlists=False) == reason
    if reason == "generated netlist":
        assert reason_against(path, text, netlists=True) == ""


@pytest.mark.parametrize(
    "text", ["\u200b" * 100, "\u3164\u115f\uffa0\u2800\ufe0f\U000e0100" * 50, "\u00ad\ufeff\u2060 \n" * 100]
)
def test_invisible_characters_are_no_text(text: str) -> None:
    selection = Selection(include=("*",), min_characters=1)
    assert usable_text("a", text, selection, Counter()) == ("", "too short")
    assert usable_text("a", f"{text}a", selection, Counter())[1] == ""


def test_a_long_character_counts_by_its_bytes() -> None:
    selection = Selection(include=("*",), max_bytes=100, min_characters=1)
    assert usable_text("a", "é" * 51, selection, Counter()) == ("", "too large")
    assert usable_text("a", "é" * 50, selection, Counter()) == ("é" * 50, "")


@pytest.mark.parametrize(
    "unit",
    [
        "(*",
        "(* ",
        "(* a *) ",
        "\n",
        "\t\n",
        "`",
        " \t",
        "Definition \n",
        "\nFrom a ",
        "fn a(",
        "X",
        "(\\",
        ";nand(",
        '"\\',
        "/*",
        "//\n",
        '\\"',
    ],
)
@pytest.mark.timeout(60)
def test_no_pattern_takes_more_than_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    for path in ("a.v", "a.md"):
        reason_against(path, f"{text}\nendmodule protect", netlists=False)
    for beginning in ("", "Require Import List.\n", "module m; endmodule\nnand U1 (n1, n2);"):
        for end in ("", ")"):
            reason_against("a.v", f"{beginning}{text}{end}", netlists=False)
