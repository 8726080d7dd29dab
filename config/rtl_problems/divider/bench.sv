module bench;
  logic        clk = 0;
  logic        rst_n, in_valid, in_ready, out_valid, out_ready, by_zero;
  logic [15:0] dividend, quotient;
  logic [7:0]  divisor, remainder;

  divider dut (
    .clk(clk), .rst_n(rst_n), .in_valid(in_valid), .in_ready(in_ready), .dividend(dividend), .divisor(divisor),
    .out_valid(out_valid), .out_ready(out_ready), .quotient(quotient), .remainder(remainder), .by_zero(by_zero)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int waited, x, y;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic result;
    check("quotient", quotient, y == 0 ? 65535 : x / y);
    check("remainder", remainder, y == 0 ? x % 256 : x % y);
    check("by_zero", by_zero, y == 0);
  endtask

  task automatic accept(input int numerator, input int denominator);
    x = numerator;
    y = denominator;
    in_valid = 1;
    dividend = 16'(x);
    divisor = 8'(y);
    out_ready = 1'(random());
    #1;
    check("in_ready when idle", in_ready, 1);
    check("out_valid when idle", out_valid, 0);
    @(negedge clk);
    in_valid = 1'(random());
    dividend = 16'(random());
    divisor = 8'(random());
  endtask

  // a division whose result is taken after some cycles
  task automatic divide(input int numerator, input int denominator, input int delay);
    accept(numerator, denominator);
    waited = 0;
    out_ready = 0;
    for (int i = 0; i < 40 && !out_valid; i++) begin
      check("in_ready when busy", in_ready, 0);
      @(negedge clk);
    end
    check("out_valid after 40 cycles", out_valid, 1);
    repeat (delay) begin
      check("out_valid before the result is taken", out_valid, 1);
      check("in_ready before the result is taken", in_ready, 0);
      result();
      @(negedge clk);
    end
    out_ready = 1;
    #1;
    check("out_valid", out_valid, 1);
    check("in_ready does not depend on out_ready", in_ready, 0);
    result();
    in_valid = 0;
    @(negedge clk);
    out_ready = 0;
    #1;
    check("out_valid after the result was taken", out_valid, 0);
    check("in_ready after the result was taken", in_ready, 1);
  endtask

  initial begin
    {in_valid, dividend, divisor, out_ready} = '0;
    rst_n = 0;
    #1 check("out_valid in reset", out_valid, 0);
    @(negedge clk);
    rst_n = 1;
    divide(100, 7, 0);
    divide(65535, 1, 2);
    divide(65535, 255, 0);
    divide(0, 5, 1);
    divide(4, 5, 0);
    divide(256, 128, 0);
    divide(16'h1234, 0, 5);
    divide(0, 0, 0);
    divide(254, 255, 0);
    divide(65279, 255, 0);
    accept(1000, 3);
    repeat (5) @(negedge clk);
    #2 rst_n = 0;  // abandoned
    #1 check("out_valid in reset", out_valid, 0);
    in_valid = 0;
    @(negedge clk);
    rst_n = 1;
    out_ready = 0;
    repeat (45) begin
      @(negedge clk);
      check("out_valid of an abandoned division", out_valid, 0);
    end
    repeat (300) divide(int'(random() % 65536), int'(random() % 256), int'(random() % 4));
    repeat (100) divide(int'(random() % 65536), int'(random() % 8), 0);
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
