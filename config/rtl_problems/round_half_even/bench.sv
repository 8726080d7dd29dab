module bench;
  logic signed [15:0] value;
  logic signed [7:0]  rounded;
  logic               inexact, saturated;

  round_half_even dut (.value(value), .rounded(rounded), .inexact(inexact), .saturated(saturated));

  int errors = 0;
  int below, fraction, nearest, limited;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  initial begin
    for (int v = -32768; v < 32768; v++) begin
      value = 16'(v);
      fraction = ((v % 64) + 64) % 64;
      below = (v - fraction) / 64;
      if (fraction < 32) nearest = below;
      else if (fraction > 32) nearest = below + 1;
      else nearest = below % 2 == 0 ? below : below + 1;
      limited = nearest > 127 ? 127 : nearest < -128 ? -128 : nearest;
      #1;
      check("rounded", rounded[7:0], limited & 255);
      check("inexact", inexact, fraction != 0);
      check("saturated", saturated, limited != nearest);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
