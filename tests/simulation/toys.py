"""Toy problems of the tests of simulations."""

from tapeout.simulation.containment import COMPILE, MIB, SIMULATE, Limits, SimulatorLimits
from tapeout.simulation.problems.problem import Problem

HEADER = "module counter(input logic clk, input logic rst, output logic [3:0] q);"
GOLDEN = f"""{HEADER}
  always_ff @(posedge clk) if (rst) q <= 0; else q <= q + 1;
endmodule
"""
BENCH = """module bench;
  logic clk = 0, rst;
  logic [3:0] q;
  int errors = 0;
  counter dut (.clk(clk), .rst(rst), .q(q));
  always #5 clk = ~clk;
  initial begin
    rst = 1;
    repeat (2) @(negedge clk);
    rst = 0;
    for (int i = 1; i < 40; i++) begin
      @(negedge clk);
      if (q !== i[3:0]) errors++;
    end
    if (errors == 0) $display("PASS");
    else $display("FAIL %0d wrong values", errors);
    $finish;
  end
endmodule
`define BENCH_IS_READ
"""
COUNTER = Problem(
    name="counter",
    title="Counter of four bits",
    category="sequential",
    difficulty="easy",
    top="counter",
    prompt=f"Write a counter of four bits with synchronous reset.\n\n{HEADER}\n",
    golden=GOLDEN,
    mutants={"steps_of_two": GOLDEN.replace("q + 1", "q + 2"), "same": GOLDEN.replace("q + 1", "1 + q")},
    files={"bench.sv": BENCH},
    sources=("bench.sv",),
    bench="bench",
)
SHORT = SimulatorLimits(
    Limits(30, 300, COMPILE.memory_bytes, COMPILE.file_bytes, COMPILE.scratch_bytes, MIB, 64),
    Limits(1, 60, 512 * MIB, MIB, SIMULATE.scratch_bytes, MIB // 4, 16),
)
"""Limits that hostile programs reach soon."""
