module bench;
  logic signed [7:0] a, b, result;
  logic              subtract, saturated;

  saturating_adder dut (.a(a), .b(b), .subtract(subtract), .result(result), .saturated(saturated));

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int exact, limited;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic try(input int x, input int y, input logic minus);
    a = 8'(x);
    b = 8'(y);
    subtract = minus;
    exact = minus ? x - y : x + y;
    limited = exact > 127 ? 127 : exact < -128 ? -128 : exact;
    #1;
    check("result", result[7:0], limited & 255);
    check("saturated", saturated, exact != limited);
  endtask

  initial begin
    for (int x = -128; x < 128; x += 17) begin
      for (int y = -128; y < 128; y++) begin
        try(x, y, 0);
        try(x, y, 1);
        try(y, x, 1);
      end
    end
    repeat (2000) try(int'(random() % 256) - 128, int'(random() % 256) - 128, 1'(random()));
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
