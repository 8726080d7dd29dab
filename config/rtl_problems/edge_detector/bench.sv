module bench;
  logic clk = 0;
  logic rst_n, level, rising, falling;

  edge_detector dut (.clk(clk), .rst_n(rst_n), .level(level), .rising(rising), .falling(falling));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic previous, seen;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic value);
    level = value;
    @(negedge clk);
    check("rising", rising, seen && value && !previous);
    check("falling", falling, seen && !value && previous);
    previous = value;
    seen = 1;
  endtask

  task automatic reset;
    #2 rst_n = 0;
    #1;
    check("rising in reset", rising, 0);
    check("falling in reset", falling, 0);
    @(negedge clk);
    check("rising in reset", rising, 0);
    check("falling in reset", falling, 0);
    rst_n = 1;
    seen = 0;
  endtask

  initial begin
    rst_n = 1;
    level = 1;
    @(negedge clk);
    reset();
    cycle(1);
    cycle(1);
    cycle(0);
    reset();
    cycle(0);
    cycle(1);
    reset();
    cycle(1);
    cycle(0);
    reset();
    repeat (1000) begin
      cycle(1'(random()));
      if (random() % 16 == 0) reset();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
